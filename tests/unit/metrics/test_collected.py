"""Pairs of a whole evaluation, over ranks of which one is empty."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.metrics.collected import PredictionsAndTargets


def test_keeps_the_order_and_forgets_on_reset() -> None:
    pairs = PredictionsAndTargets()
    pairs.update(torch.tensor([[1.0, 2.0]]), torch.tensor([[0, 1]]))
    pairs.update(torch.tensor([3.0]), torch.tensor([torch.nan]))
    found, truth = pairs.compute()
    assert found.tolist() == [1, 2, 3]
    assert truth[:2].tolist() == [0, 1]
    pairs.reset()
    pairs.update(torch.zeros(0), torch.zeros(0))
    assert [len(flat) for flat in pairs.compute()] == [0, 0]


def _gathered(rank: int) -> tuple[Tensor, Tensor]:
    pairs = PredictionsAndTargets()
    if rank == 1:
        pairs.update(torch.tensor([1.0, 2.0]), torch.tensor([5, 6]))
    return pairs.compute()


@pytest.mark.ddp
def test_a_rank_without_samples_does_not_stop_the_others(run_ranks: Callable[..., list[Any]]) -> None:
    for found, truth in run_ranks(_gathered):
        assert found.tolist() == [1, 2]
        assert truth.tolist() == [5, 6]
