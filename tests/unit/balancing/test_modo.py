import pytest
import torch

from mtl.balancing.modo import MoDo


def test_one_step_by_hand() -> None:
    # (1/2, 1/2) - 0.1 ((1, 0) + 0.1 (1/2, 1/2)) = (0.395, 0.495), and 0.055 more for each
    product_KK = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(MoDo(gamma=0.1, rho=0.1)(product_KK), torch.tensor([0.45, 0.55]).double())


def test_weights_go_on_from_call_to_call_and_stay_on_the_simplex() -> None:
    method = MoDo(gamma=0.1)
    gramian_KK = torch.diag(torch.tensor([9.0, 1.0, 1.0]).double())
    for _ in range(200):
        weights_K = method(gramian_KK)
    assert float(weights_K.sum()) == pytest.approx(1)
    torch.testing.assert_close(weights_K[0] * 9.1, weights_K[1] * 1.1)  # (G + rho) w is equal for all


def test_a_missing_task_keeps_its_share() -> None:
    method = MoDo(gamma=0.1)
    weights_K = method(torch.diag(torch.tensor([9.0, 1.0, 1.0]).double()), None, [True, True, False])
    assert float(weights_K.sum()) == pytest.approx(1)
    assert float(method.weights_K[2]) == pytest.approx(1 / 3)
    assert float(method.weights_K.sum()) == pytest.approx(1)


def test_rejects_a_step_of_zero() -> None:
    with pytest.raises(ValueError, match="gamma=0 must be above 0"):
        MoDo(gamma=0)


@pytest.mark.parametrize("size", [1e10, 1e20, 1e150, 1e300])
def test_large_finite_gradients_move_all_weight_to_the_shorter_one(size: float) -> None:
    gramian_KK = torch.diag(torch.tensor([9.0, 1.0, 5.0]).double() * size)
    assert MoDo()(gramian_KK).tolist() == [0.0, 1.0, 0.0]
