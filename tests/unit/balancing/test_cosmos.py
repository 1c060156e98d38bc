"""COSMOS."""

import pytest
import torch

from mtl.balancing.cosmos import COSMOS


def test_objective_with_a_fixed_preference_is_that_of_the_paper() -> None:
    method, losses = COSMOS(penalty=2.0, preferences=[0.8, 0.6]), torch.tensor([3.0, 4.0])
    linear = 0.8 * 3 + 0.6 * 4
    assert method(losses).item() == pytest.approx(linear - 2 * linear / 5)  # |r| = 1, |L| = 5


def test_without_penalty_it_is_the_weighted_sum() -> None:
    torch.testing.assert_close(
        COSMOS(penalty=0.0, preferences=[0.2, 0.8]).weights(torch.ones(2)), torch.tensor([0.2, 0.8])
    )


def test_preferences_are_drawn_anew_from_the_simplex() -> None:
    method = COSMOS()
    drawn = []
    for _ in range(300):
        method(torch.ones(3))
        drawn.append(method.preference.clone())
    points = torch.stack(drawn)
    torch.testing.assert_close(points.sum(1), torch.ones(300))
    torch.testing.assert_close(points.mean(0), torch.full((3,), 1 / 3), atol=0.05, rtol=0)
    assert len(points[:, 0].unique()) == 300


def test_losses_without_a_direction_stay_finite() -> None:
    assert COSMOS().weights(torch.zeros(3)).isfinite().all()


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="penalty=-1 must be at least 0"):
        COSMOS(penalty=-1)
