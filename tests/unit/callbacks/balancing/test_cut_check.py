"""What a method at the features cannot see is said at the first step."""

import logging

import pytest
import torch

from mtl.backbones.table.mlp import TableMLP
from mtl.balancing.engine.balancer import Balancer
from mtl.balancing.pcgrad import PCGrad
from mtl.batch import Batch
from mtl.callbacks.balancing.cut_check import check_cut, labelled_apart
from mtl.heads.whole.regression import RegressionHead
from mtl.inputs.table import TableInput
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task


def model() -> MultiTaskModel:
    torch.manual_seed(0)
    spec = InputSpec("row", "table", channels=3)
    trunk = TableMLP({"row": spec}, (4,), dropout=0.0)
    heads = {name: RegressionHead(Task(name, "regression"), trunk.spec) for name in "abc"}
    return MultiTaskModel(trunk, heads, {"row": TableInput(spec, [0.0] * 3, [1.0] * 3)})


def batch(a: list[int], b: list[int], c: list[int]) -> Batch:
    """Six rows, and which of them each task has labels of."""
    torch.manual_seed(1)
    made: Batch = {"row": torch.randn(6, 3)}
    for name, rows in {"a": a, "b": b, "c": c}.items():
        mask = torch.zeros(6, dtype=torch.bool)
        mask[rows] = True
        made[f"labelled/{name}"] = mask
        made[name] = torch.where(mask, torch.randn(6), torch.nan)
    return made


@pytest.mark.parametrize(
    ("rows", "apart", "words"),
    [
        (([0, 1], [2, 3], [4, 5]), [("a", "b"), ("a", "c"), ("b", "c")], "a and b, a and c and 1 more (all pairs)"),
        (([0, 1], [2, 3], [1, 4]), [("a", "b"), ("b", "c")], "a and b, b and c:"),
        (([0, 1], [1, 2], [0, 2]), [], ""),
        (([0, 1], [], [1]), [], ""),  # who has no label in a batch cannot be judged
    ],
)
def test_tasks_without_a_common_sample_are_named(
    rows: tuple[list[int], list[int], list[int]],
    apart: list[tuple[str, str]],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, data = model(), batch(*rows)
    assert labelled_apart(made, data) == apart
    with caplog.at_level(logging.WARNING):
        check_cut(made, data, "features")
    assert (words in caplog.text) if words else not caplog.text
    caplog.clear()
    check_cut(made, data, "parameters")
    assert not caplog.text


def test_without_a_common_sample_gradients_meet_at_parameters_only() -> None:
    """The fact that the warning states: at the features PCGrad is the plain sum, at the parameters it is not."""

    def gradient(at: str | None) -> torch.Tensor:
        made, data = model(), batch([0, 1], [2, 3], [4, 5])
        if at is None:
            torch.stack(list(made.losses(made(data), data).values())).sum().backward()
        else:
            balancer = Balancer(PCGrad(), made.partition(), at)  # type: ignore[arg-type]
            made.junction = balancer.junction
            balancer.objective(made.losses(made(data), data)).backward()
        parameter = next(made.trunk.parameters())
        assert parameter.grad is not None
        return parameter.grad

    torch.testing.assert_close(gradient("features"), gradient(None))
    assert not torch.allclose(gradient("parameters"), gradient(None))
