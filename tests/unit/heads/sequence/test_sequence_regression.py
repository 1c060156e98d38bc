"""A number for every step: interpolation by hand, concordance by its formula, gaps in targets, and a curve learned."""

import numpy as np
import pytest
import torch

from mtl.batch import Batch, collate
from mtl.features import FeatureSpec
from mtl.functional.steps import at_steps
from mtl.heads.sequence.sequence_regression import SequenceRegressionHead
from mtl.metrics.sequence_regression import SequenceRegressionMetrics
from mtl.targets.target import target_of
from mtl.task import InputSpec, Task

TASK = Task("pitch", "sequence_regression")
INPUTS = {"audio": InputSpec("audio", "audio", 4, rate=8000)}
SPEC = FeatureSpec({"t1": 3}, layouts={"t1": "sequence"})
NAN = float("nan")


def batch(*targets: list[float] | None) -> Batch:
    samples = [{"audio": torch.ones(800)} | ({} if row is None else {"pitch": torch.tensor(row)}) for row in targets]
    return collate(samples, {"pitch": TASK}, INPUTS)


def test_as_many_steps_as_wanted_come_out_as_they_are() -> None:
    values = torch.randn(3, 5)
    steps = torch.tensor([5, 3, 1])
    found = at_steps(values, steps, steps, 6)
    for row, length in enumerate(steps.tolist()):
        assert torch.equal(found[row, :length], values[row, :length])


def test_other_rates_are_interpolated_between_the_middles_of_steps() -> None:
    # two steps cover 0 to 1 with middles 1/4 and 3/4; four have 1/8, 3/8, 5/8, 7/8
    found = at_steps(torch.tensor([[0.0, 4.0, 99.0]]), torch.tensor([2]), torch.tensor([4]), 4)
    assert found.tolist() == [[0.0, 1.0, 3.0, 4.0]]
    fewer = at_steps(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), torch.tensor([4]), torch.tensor([2]), 2)
    assert fewer.tolist() == [[0.5, 2.5]]


@pytest.mark.parametrize("rows", [[[NAN, 2.0, 3.0], None], [None, None], [[], [1.0]]])
def test_steps_without_a_number_add_nothing(rows: list[list[float] | None]) -> None:
    head = SequenceRegressionHead(TASK, SPEC)
    features = torch.randn(2, 6, 3, requires_grad=True)
    of = batch(*rows)
    loss = head.loss(head({"t1": features}), of)
    loss.backward()
    assert loss.isfinite()
    assert features.grad is not None
    for row, values in enumerate(rows):
        known = any(np.isfinite(value) for value in values or ())
        assert bool(features.grad[row].abs().sum() > 0) == known
    metrics = head.metrics()
    metrics.update(head.decode(head({"t1": features})), of)
    assert bool(metrics.compute()) == any(np.isfinite(value) for row in rows for value in row or ())


def test_more_padding_changes_nothing() -> None:
    head = SequenceRegressionHead(TASK, SPEC).eval()
    short, of = torch.randn(2, 6, 3), batch([1.0, 2.0, 4.0, 3.0], [5.0, 6.0])
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    long = torch.cat((short, torch.full((2, 16, 3), 7.0)), 1)
    long_mask = torch.cat((mask, torch.zeros(2, 16, dtype=torch.bool)), 1)
    longer = {**of, "pitch": torch.nn.functional.pad(of["pitch"], (0, 16), value=NAN)}
    losses = [
        head.loss(head({"t1": values, "t1_mask": real}), target)
        for values, real, target in ((short, mask, of), (long, long_mask, longer))
    ]
    torch.testing.assert_close(*losses)


def test_metrics_by_hand() -> None:
    of = batch([1.0, 2.0, NAN, 5.0], [4.0])
    values = torch.tensor([[2.0, 2.0, 9.0, 3.0], [4.0, 0.0, 0.0, 0.0]])
    metrics = SequenceRegressionMetrics(TASK)
    metrics.update({"values": values, "steps": torch.tensor([4, 1])}, of)
    ours, theirs = np.array([2.0, 2, 3, 4]), np.array([1.0, 2, 5, 4])
    covariance = ((ours - ours.mean()) * (theirs - theirs.mean())).mean()
    expected = 2 * covariance / (ours.var() + theirs.var() + (ours.mean() - theirs.mean()) ** 2)
    found = metrics.compute()
    assert found["mae"].item() == pytest.approx(0.75)
    assert found["rmse"].item() == pytest.approx(np.sqrt(5 / 4))
    assert found["ccc"].item() == pytest.approx(expected)
    metrics.reset()
    metrics.update({"values": values, "steps": torch.tensor([4, 1])}, batch([3.0, 3.0], [3.0]))
    assert "ccc" not in metrics.compute()


def test_concordance_far_from_zero() -> None:
    theirs = torch.linspace(20000, 20001, 9).tolist()
    of = batch(theirs)
    metrics = SequenceRegressionMetrics(TASK)
    metrics.update(target_of(TASK).perfect(of), of)
    assert metrics.compute()["ccc"].item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("wrong", [torch.ones(2, 2), torch.tensor([1.0, torch.inf])])
def test_other_targets_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="numbers that cover the input evenly"):
        collate([{"audio": torch.ones(800), "pitch": wrong}], {"pitch": TASK}, INPUTS)


def test_the_head_learns_a_curve_at_another_rate() -> None:
    torch.manual_seed(0)
    head = SequenceRegressionHead(TASK, SPEC, target_mean=100, target_std=20)
    features = torch.randn(4, 12, 3)
    wanted = at_steps(features[..., 0] * 20 + 100, torch.full((4,), 12), torch.full((4,), 24), 24)
    of = batch(*wanted.tolist())
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(120):
        optimizer.zero_grad()
        head.loss(head({"t1": features}), of).backward()
        optimizer.step()
    metrics = head.metrics()
    metrics.update(head.decode(head({"t1": features})), of)
    assert metrics.compute()["ccc"] > 0.99
