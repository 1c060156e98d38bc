"""Soft optimal uncertainty weighting."""

import pytest
import torch

from mtl.balancing.uw_so import UWSO


def test_weights_are_a_softmax_of_one_over_the_loss() -> None:
    # losses 1/2 and 1 with T = 1: softmax(2, 1)
    weights = UWSO().weights(torch.tensor([0.5, 1.0]))
    torch.testing.assert_close(weights, torch.tensor([2.0, 1.0]).softmax(0))


def test_the_weights_are_held_constant_in_the_gradient() -> None:
    method, losses = UWSO(temperature=3.0), torch.tensor([0.5, 1.0], dtype=torch.float64)
    weights = method.weights(losses)
    torch.testing.assert_close(method(losses), (weights * losses).sum())


def test_a_high_temperature_makes_the_weights_equal() -> None:
    torch.testing.assert_close(
        UWSO(temperature=1e6).weights(torch.tensor([0.1, 9.0])), torch.full((2,), 0.5), atol=1e-4, rtol=0
    )


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"temperature=0 must be above 0"):
        UWSO(temperature=0)
