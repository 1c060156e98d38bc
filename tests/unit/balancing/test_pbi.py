"""Penalty-based boundary intersection."""

import pytest
import torch

from mtl.balancing.pbi import PBI


def test_objective_is_the_way_along_plus_theta_times_the_way_off() -> None:
    method = PBI(theta=5.0, preferences=[3.0, 4.0], ideal=[1.0, 1.0])
    # gap (2, 1), direction (0.6, 0.8): along 2, off |(2, 1) - (1.2, 1.6)| = 1
    assert method(torch.tensor([3.0, 2.0])).item() == pytest.approx(2 + 5 * 1)


def test_losses_on_the_line_pay_nothing() -> None:
    losses = torch.tensor([2.0, 2.0])
    assert PBI()(losses).item() == pytest.approx(losses.norm().item())
    assert PBI().weights(losses).isfinite().all()


def test_a_negative_theta_is_refused() -> None:
    with pytest.raises(ValueError, match="theta=-1 must be at least 0"):
        PBI(theta=-1)


def test_preferences_keep_the_digits_of_float64() -> None:
    losses = torch.tensor([0.3, 0.1], dtype=torch.float64)
    # on the line of the preferences there is no way off; 0.3 and 0.1 are not exact in float32
    assert PBI(preferences=[0.3, 0.1], ideal=[0.0, 0.0])(losses).item() == pytest.approx(
        losses.norm().item(), abs=1e-14
    )
    shifted = PBI(ideal=[0.3, 0.1])(losses)
    assert shifted.item() == pytest.approx(0, abs=1e-15)
