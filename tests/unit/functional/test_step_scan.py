import torch
from torch import Tensor

from mtl.functional.sequence.step_scan import scan_steps


def add(sum_B: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    return sum_B + row[0] * row[1], sum_B


def test_steps_see_the_state_of_the_step_before() -> None:
    rows = (torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 10.0, 100.0]))
    last, kept = scan_steps(add, torch.zeros(1), rows)
    assert last.tolist() == [421.0]
    assert kept[:, 0].tolist() == [0.0, 1.0, 21.0]


def test_backwards_begins_at_the_last_row_and_keeps_the_order_of_rows() -> None:
    rows = (torch.tensor([[1.0], [2.0], [4.0]]), torch.ones(3))
    last, kept = scan_steps(add, torch.zeros(1), rows, backwards=True)
    assert last.tolist() == [7.0]
    assert kept[:, 0].tolist() == [6.0, 4.0, 0.0]


def test_one_row_is_one_step() -> None:
    assert scan_steps(add, torch.ones(2), (torch.ones(1, 2), torch.ones(1)))[0].tolist() == [2.0, 2.0]
