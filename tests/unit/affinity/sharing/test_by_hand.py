"""Measures of sharing where the answer is known by hand: two tasks read two directions of a row, nothing is learned.

Shapes: B samples, C columns.
"""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.affinity.representation import CKA
from mtl.affinity.sharing.layerwise_cka import linear_cka
from mtl.affinity.sharing.project_out import ProjectOut
from mtl.affinity.sharing.sharing_measure import Inside, SharingMeasure
from mtl.affinity.sharing.subspace_overlap import SubspaceOverlap
from mtl.backbones.backbone import Backbone
from mtl.features import Features, FeatureSpec
from mtl.heads.whole.regression import RegressionHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

TASKS = {name: Task(name, "regression") for name in ("a", "b")}
ROW = InputSpec("row", "table", 3)
WEIGHTS = {"a": [1.0, 0.0, 0.0], "b": [0.3, 0.8, 0.0]}  # where columns have deviation 1, b reads 0.6 and 0.8


class Unchanged(Backbone):
    """Gives the row as it is."""

    inputs = ("row",)

    def __init__(self) -> None:
        super().__init__()
        self.spec = FeatureSpec({"h": 3}, layouts={"h": "vector"})

    def forward(self, *inputs: Tensor) -> Features:
        return {"h": inputs[0]}


def inside() -> Inside:
    """Every sign of three columns, of which the first has deviation 2; the tasks know their own answers."""
    row_BC = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=3))) * torch.tensor([2.0, 1.0, 1.0])
    trunk = Unchanged()
    heads = {name: RegressionHead(task, trunk.spec, error="mse") for name, task in TASKS.items()}
    for name, head in heads.items():
        for parameter in head.parameters():
            parameter.data = torch.tensor([WEIGHTS[name]]) if parameter.ndim == 2 else torch.zeros(1)
    batch: Any = {"row": row_BC} | {name: row_BC @ torch.tensor(weight_C) for name, weight_C in WEIGHTS.items()}
    return Inside(TASKS, [batch], MultiTaskModel(trunk, heads, {"row": input_kind(ROW)(ROW)}))


def values(measure: SharingMeasure) -> dict[tuple[str, str], float]:
    return {(one.source, one.target): one.value for one in measure.measure(inside())}


def test_the_overlap_of_two_directions_is_their_squared_cosine() -> None:
    assert values(SubspaceOverlap()) == {("a", "b"): pytest.approx(0.36, abs=1e-6)}
    (found,) = SubspaceOverlap().measure(inside())
    assert found.baselines["chance"] == pytest.approx(1 / 3), "one direction of three"


def test_what_a_task_loses_without_the_others_direction_is_their_squared_cosine() -> None:
    # b = 0.6 s + 0.8 t of two signs: without s it is 0.8 t, and of the mean square 1 there are 0.36 lost; and alike for
    # a = 2 s, which keeps 2 (s - 0.6 (0.6 s + 0.8 t)), and of the mean square 4 there are 1.44 lost
    expected = pytest.approx(0.36, abs=1e-5)
    assert values(ProjectOut()) == {("a", "b"): expected, ("b", "a"): expected}
    assert [one.baselines["own damage"] for one in ProjectOut().measure(inside())] == pytest.approx([1, 1], abs=1e-5)


def test_cka_of_one_axis_and_both_is_the_root_of_a_half() -> None:
    # X'Y = (2, 0), X'X = 2, Y'Y = 2 I: 4 / (2 * 2 sqrt 2)
    one_S1 = torch.tensor([[1.0], [-1.0], [0.0], [0.0]], dtype=torch.float64)
    both_S2 = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    assert linear_cka(one_S1 + 3, both_S2 - 7) == pytest.approx(0.5**0.5, abs=1e-9)
    between = CKA()._matrix([one_S1 + 3, both_S2 - 7])
    assert between.flatten().tolist() == pytest.approx([1, 0.5**0.5, 0.5**0.5, 1], abs=1e-9)
