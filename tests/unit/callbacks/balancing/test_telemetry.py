"""Telemetry of balancing against values taken by hand, alone and inside a run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from mtl.balancing.equal import Equal
from mtl.balancing.graddrop import GradDrop
from mtl.balancing.transformed import TransformedWeighting
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.telemetry import BalancingTelemetry, looks_at_gradients
from mtl.callbacks.defaults import default_callbacks
from mtl.runs.metrics_csv import MetricsCSV, read_series


def watch(**options: Any) -> LossBalancing:
    return LossBalancing(TransformedWeighting(Equal()), **options)


class Stub:
    """A trainer and a module that balance; what is logged lands in `logged`."""

    def __init__(self, gramians: list[list[list[float]]], telemetry: BalancingTelemetry, logging: bool = True) -> None:
        self.balancing = watch()
        self.balancing.names = ["a", "b", "c"][: len(gramians[0])]
        self.balancing.balancer = SimpleNamespace(node=self)  # type: ignore[assignment]
        self.callbacks = [self.balancing]
        self.log_every_n_steps, self.global_step = len(gramians) if logging else 0, len(gramians) - 1
        self.watched = False
        self.logged: dict[str, float] = {}
        telemetry.on_train_start(self, self)  # type: ignore[arg-type]
        for gramian in gramians:
            self.gramian = torch.tensor(gramian, dtype=torch.float64)
            telemetry.on_after_backward(self, self)  # type: ignore[arg-type]
            telemetry.on_after_backward(self, self)  # type: ignore[arg-type]  # a step that keeps the weights
        telemetry.on_before_optimizer_step(self, self, None)  # type: ignore[arg-type]

    def log_dict(self, values: dict[str, float]) -> None:
        self.logged |= values


def test_means_over_steps_and_pairs_by_hand() -> None:
    first = [[4.0, -2.0, 0.0], [-2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]  # c has no gradient
    second = [[4.0, 1.0, -3.0], [1.0, 1.0, 0.0], [-3.0, 0.0, 9.0]]
    logged = Stub([first, second], BalancingTelemetry()).logged
    assert logged["balance/norm/a"] == pytest.approx(2.0)
    assert logged["balance/norm/c"] == pytest.approx(1.5)
    assert logged["balance/cosine/a_b"] == pytest.approx((-1.0 + 0.5) / 2)
    assert logged["balance/cosine/a_c"] == pytest.approx(-0.5)  # of the second step alone
    assert logged["balance/magnitude/a_b"] == pytest.approx(2 * 2 * 1 / (4 + 1))
    # a and b conflict in one of two steps, a and c in the one they share, b and c never
    assert logged["balance/conflict_rate"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert logged["balance/mean_cosine"] == pytest.approx((-0.25 - 0.5 + 0.0) / 3)


def test_many_tasks_are_not_logged_pair_by_pair() -> None:
    logged = Stub([[[1.0, 0.5], [0.5, 1.0]]], BalancingTelemetry(max_tasks=1)).logged
    assert set(logged) == {
        "balance/norm/a",
        "balance/norm/b",
        "balance/conflict_rate",
        "balance/mean_cosine",
        "balance/mean_magnitude",
    }


def test_one_task_has_norms_only() -> None:
    assert Stub([[[4.0]]], BalancingTelemetry()).logged == {"balance/norm/a": 2.0}


def test_a_pair_that_never_met_is_not_logged() -> None:
    logged = Stub([[[0.0, 0.0], [0.0, 1.0]]], BalancingTelemetry()).logged
    assert set(logged) == {"balance/norm/a", "balance/norm/b"}


def test_the_mean_of_the_run_survives_a_resume() -> None:
    gramians = [[[4.0, -2.0], [-2.0, 1.0]], [[4.0, 1.0], [1.0, 1.0]]]
    whole, first, second = BalancingTelemetry(), BalancingTelemetry(), BalancingTelemetry()
    Stub(gramians, whole)
    Stub(gramians[:1], first)
    second.load_state_dict(first.state_dict())
    Stub(gramians[1:], second)
    assert torch.equal(second.state_dict()["run"], whole.state_dict()["run"])
    assert torch.equal(second.state_dict()["counts"], whole.state_dict()["counts"])


def test_the_mean_between_two_logging_steps_survives_a_resume() -> None:
    gramians = [[[4.0, -2.0], [-2.0, 1.0]], [[4.0, 1.0], [1.0, 1.0]]]
    first, second = BalancingTelemetry(), BalancingTelemetry()
    Stub(gramians[:1], first, logging=False)
    second.load_state_dict(first.state_dict())
    assert Stub(gramians[1:], second).logged == Stub(gramians, BalancingTelemetry()).logged
    second.load_state_dict({"run": None, "counts": None})  # of an earlier version


@pytest.mark.parametrize(
    ("balancing", "num_numbers"),
    [(watch(), 4), (watch(at="parameters", every=2), 2), (LossBalancing(GradDrop()), 4)],
    ids=["features", "every second step", "a method without a Gramian"],
)
def test_a_run_logs_and_draws(balancing: LossBalancing, num_numbers: int, tiny: Any, tmp_path: Path) -> None:
    logger = MetricsCSV(tmp_path / "metrics.csv")
    tiny.trainer([balancing, BalancingTelemetry()], logger=logger, max_steps=4).fit(tiny.module(), tiny.data())
    series = read_series(tmp_path / "metrics.csv")
    steps, norms = series["balance/norm/boxes"]
    assert steps == [0, 1, 2, 3]
    assert len(set(norms)) == num_numbers  # Lightning repeats the last number where there is no new one
    assert min(norms) > 0
    assert all(0 < abs(cosine) < 1 for cosine in series["balance/cosine/boxes_largest"][1])
    with Image.open(tmp_path / "pictures/balancing.png") as picture:
        assert min(picture.size) > 300


def test_watching_changes_nothing(tiny: Any) -> None:
    plain, watched = [], []
    for callbacks, parameters in (([], plain), ([watch(), BalancingTelemetry()], watched)):
        torch.manual_seed(0)
        module = tiny.module()
        tiny.trainer(callbacks, max_steps=2).fit(module, tiny.data())
        parameters += [parameter.detach().clone() for parameter in module.model.parameters()]
    for before, after in zip(plain, watched, strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_default_only_where_gradients_are_looked_at() -> None:
    kinds = {
        name: [type(callback) for callback in default_callbacks(Path("run"), given)]
        for name, given in {"none": [], "losses": [LossBalancing(Equal())], "gradients": [watch()]}.items()
    }
    assert BalancingTelemetry in kinds["gradients"]
    assert BalancingTelemetry not in kinds["none"] + kinds["losses"]
    assert looks_at_gradients(LossBalancing(GradDrop()))


def test_rejects_a_run_that_looks_at_no_gradients(tiny: Any) -> None:
    trainer = tiny.trainer([LossBalancing(Equal()), BalancingTelemetry()])
    with pytest.raises(ValueError, match="no LossBalancing with a gradient method. Add one"):
        trainer.fit(tiny.module(), tiny.data())
