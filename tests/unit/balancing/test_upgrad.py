import pytest
import torch

from mtl.balancing.upgrad import UPGrad

ROWS = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)


def test_mean_of_the_projected_gradients_by_hand() -> None:
    # the first projects to (1/2, 1/2), the second to (0, 1)
    torch.testing.assert_close(UPGrad()(ROWS @ ROWS.T) @ ROWS, torch.tensor([0.25, 0.75]).double())


def test_preferences_weigh_the_projected_gradients() -> None:
    update_P = UPGrad(preferences=[3.0, 1.0])(ROWS @ ROWS.T) @ ROWS
    torch.testing.assert_close(update_P, torch.tensor([1.5, 2.5]).double())


def test_a_tiny_task_is_not_sacrificed() -> None:
    rows_KP = ROWS * torch.tensor([[1e4], [1e-4]], dtype=torch.float64)
    assert bool((rows_KP @ (UPGrad()(rows_KP @ rows_KP.T) @ rows_KP) >= -1e-8).all())


def test_rejects_preferences_that_are_not_positive() -> None:
    with pytest.raises(ValueError, match="above 0 per task"):
        UPGrad(preferences=[1.0, 0.0])
