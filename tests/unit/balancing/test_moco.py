"""MoCo."""

import pytest
import torch

from mtl.balancing.moco import MoCo

ROWS = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)


def test_first_step_is_the_one_computed_by_hand() -> None:
    method = MoCo(beta=0.5, gamma=0.2)
    # Y = ROWS / 2; Y Y^T w with w = 1/2: (1/8, 9/8); w - 0.2 of it: (0.475, 0.275), moved by 0.125 to the simplex
    expected = torch.tensor([0.6 * 0.5, 0.4 * 1.5], dtype=torch.float64)
    torch.testing.assert_close(method(ROWS), expected)
    torch.testing.assert_close(method.weights_K / 2, torch.tensor([0.6, 0.4]))


def test_on_constant_gradients_it_finds_the_shortest_vector_of_the_hull() -> None:
    method = MoCo(beta=1.0, beta_sigma=0.0, gamma=0.05, gamma_sigma=0.0)
    method.build(2)
    method.double()
    for _ in range(300):
        update = method(ROWS)
    # MGDA of (1, 0) and (0, 3): weights 0.9 and 0.1
    torch.testing.assert_close(update, torch.tensor([0.9, 0.3], dtype=torch.float64), rtol=1e-5, atol=0)


def test_gradients_may_be_scaled_to_the_size_of_their_losses() -> None:
    losses = torch.tensor([2.0, 5.0], dtype=torch.float64)
    method = MoCo(beta=1.0, scale="loss")
    method(ROWS, losses)
    torch.testing.assert_close(method.average_KP.norm(dim=1), losses)


def test_a_missing_task_keeps_its_average_and_its_weight() -> None:
    method = MoCo()
    method.build(3)
    method.double()
    method(torch.eye(3, 4, dtype=torch.float64))
    average, weights = method.average_KP.clone(), method.weights_K.clone()
    method(torch.ones(3, 4, dtype=torch.float64), present=[True, False, True])
    torch.testing.assert_close(method.average_KP[1], average[1], rtol=0, atol=0)
    assert method.weights_K[1] == weights[1]
    assert method.weights_K.sum().item() == pytest.approx(3)


def test_features_that_change_their_number_are_refused() -> None:
    method = MoCo()
    method(torch.ones(2, 4))
    assert method.at == ("parameters",)
    with pytest.raises(ValueError, match="gradients of 4 values; now it gets 6. Use at='parameters'"):
        method(torch.ones(2, 6))


def test_senseless_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="beta=0 must be in 0..1"):
        MoCo(beta=0)


@pytest.mark.parametrize("size", [1e6, 1e12, 1e20, 1e37])
@pytest.mark.parametrize("projection", ["simplex", "softmax"])
def test_large_finite_gradients_move_all_weight_to_the_shorter_one(size: float, projection: str) -> None:
    method = MoCo(beta=1.0, projection=projection)  # type: ignore[arg-type]
    rows_KP = torch.tensor([[1.0, 0.0], [0.0, 3.0]]) * size
    update_P = method(rows_KP)
    assert bool(update_P.isfinite().all())
    torch.testing.assert_close(method.weights_K, torch.tensor([2.0, 0.0]))
