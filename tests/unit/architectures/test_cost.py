"""Parameters and operations of architectures, against numbers from their layers."""

import torch

from mtl.architectures.film import FiLM
from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.parts.cost import Cost, cost, cost_alone
from mtl.backbones.table.mlp import TableMLP
from mtl.task import InputSpec

ROW = {"row": InputSpec("row", "table", 3)}
LAYERS = 3 * 4 + 4 * 2  # weights of the two layers


def test_a_multiplication_and_an_addition_are_two_operations() -> None:
    row = {"row": torch.zeros(5, 3)}
    made = HardSharing(TableMLP(ROW, (4, 2)), ["a", "b", "c"])
    assert cost(made, row) == Cost(LAYERS + 6, 2 * 5 * LAYERS)
    assert cost_alone(made, "b", row) == cost(made, row)


def test_a_trunk_that_runs_once_a_task_costs_once_when_it_is_exported() -> None:
    row = {"row": torch.zeros(5, 3)}
    made = FiLM(TableMLP(ROW, (4, 2)), ["a", "b", "c"])
    assert cost(made, row) == Cost(LAYERS + 6 + 3 * 2 * (3 + 4 + 2), 3 * 2 * 5 * LAYERS)
    assert cost_alone(made, "b", row) == Cost(LAYERS + 6 + 2 * (3 + 4 + 2), 2 * 5 * LAYERS)
    assert len(made.of_task["a"].factors) == 3, "it stays as it is"  # type: ignore[arg-type]
