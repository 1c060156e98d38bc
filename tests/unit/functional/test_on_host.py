"""Small GPU problems are solved on the CPU."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from mtl.functional import on_host
from tests.contract.stand_in_gpu import DEVICE, as_a_gpu, asks_nothing


class Answer(NamedTuple):
    double: Tensor
    name: str


seen: list[torch.device] = []


@on_host.on_host
def solve(values: Tensor, name: str, other: Tensor | None = None) -> Answer:
    """A solver that notes where it works."""
    seen.append(values.device)
    return Answer(2 * values + (0 if other is None else other), name)


def test_on_the_cpu_nothing_moves() -> None:
    values = torch.ones(3, requires_grad=True)
    answer = solve(values, "a", other=torch.ones(3))
    assert seen.pop().type == "cpu"
    assert isinstance(answer, Answer)
    assert answer.double.tolist() == [3, 3, 3]
    assert answer.double.requires_grad
    assert solve.__name__ == "solve"


def test_results_go_back_to_the_device_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    as_a_gpu(monkeypatch)
    with asks_nothing(monkeypatch):
        answer = solve(torch.ones(3, device=DEVICE), "a")
    assert seen.pop().type == "cpu"
    assert answer.double.device == DEVICE
    assert answer.name == "a"


def test_numbers_keep_their_type_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.testing.assert_close(on_host.numbers_on(torch.device("cpu"), [1, 2]), torch.tensor([1, 2]))
    with asks_nothing(monkeypatch):
        numbers = on_host.numbers_on(DEVICE, [1, 2], torch.float64)
    assert (numbers.device, numbers.dtype) == (DEVICE, torch.float64)
