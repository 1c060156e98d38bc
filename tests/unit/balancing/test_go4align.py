"""GO4Align."""

import math

import pytest
import torch

from mtl.balancing.go4align import GO4Align


def test_with_a_group_for_each_task_the_weights_are_the_indicators() -> None:
    losses = torch.tensor([1.0, 3.0], dtype=torch.float64)
    share = torch.tensor([math.exp(-0.5), math.exp(-1.5)], dtype=torch.float64)
    share /= share.sum()
    method = GO4Align(num_groups=2, beta=0.5)
    torch.testing.assert_close(method.weights(losses), share * 4 / losses)
    share = share * torch.exp(-0.5 * losses)
    share /= share.sum()
    torch.testing.assert_close(method.weights(losses), share * 4 / losses)


def test_similar_tasks_share_one_weight() -> None:
    weights = GO4Align(num_groups=2).weights(torch.tensor([1.0, 1.1, 10.0, 11.0], dtype=torch.float64))
    assert weights[0] == weights[1] > weights[2] == weights[3]


def test_one_group_weighs_all_tasks_the_same() -> None:
    assert len(GO4Align(num_groups=1).weights(torch.tensor([1.0, 2.0, 5.0])).unique()) == 1


def test_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match="num_groups=0 must be at least 1"):
        GO4Align(num_groups=0)


@pytest.mark.parametrize("low", [0.0, -1.0, 1e-9, 1e-6])
@pytest.mark.parametrize("num_groups", [2, 5])
def test_a_loss_without_an_indicator_gets_no_weight(low: float, num_groups: int) -> None:
    losses = torch.tensor([1.0, low, 2.0, 1.5])
    weights_K = GO4Align(num_groups=num_groups).weights(losses)
    assert float(weights_K[1]) == 0
    assert bool((weights_K[[0, 2, 3]] > 0).all())
    assert float(weights_K.max()) < 10
