import pytest
import torch

from mtl.balancing.method import STATIONARY
from mtl.balancing.mgda import MGDA
from mtl.balancing.sdmgrad import SDMGrad

ROWS = torch.tensor([[1.0, 0.2, 0.0], [-0.6, 0.9, 0.1], [0.0, -0.4, 0.7]], dtype=torch.float64)


def test_many_small_steps_without_pull_reach_mgda() -> None:
    method = SDMGrad(lam=0.0, lr=0.3, num_steps=500)
    torch.testing.assert_close(method(ROWS @ ROWS.T), MGDA()(ROWS @ ROWS.T), rtol=1e-5, atol=1e-6)


def test_a_strong_pull_gives_the_mean() -> None:
    torch.testing.assert_close(SDMGrad(lam=1e6)(ROWS @ ROWS.T), torch.full((3,), 1 / 3).double(), rtol=1e-5, atol=0)


def test_weights_sum_to_one_and_go_on_from_call_to_call() -> None:
    method, twin = SDMGrad(lr=0.1, num_steps=2, momentum=0.0), SDMGrad(lr=0.1, num_steps=4, momentum=0.0)
    method(ROWS @ ROWS.T)
    weights_K = method(ROWS @ ROWS.T)
    assert float(weights_K.sum()) == pytest.approx(1)
    torch.testing.assert_close(weights_K, twin(ROWS @ ROWS.T))


def test_a_product_of_two_batches_need_not_be_symmetric() -> None:
    product_KK = ROWS @ (ROWS + 0.3 * torch.randn(3, 3, dtype=torch.float64)).T
    first_K, second_K = SDMGrad()(product_KK), SDMGrad()(product_KK.T)
    assert float((first_K - second_K).abs().max()) > 1e-3


def test_rejects_no_steps() -> None:
    with pytest.raises(ValueError, match="num_steps=0"):
        SDMGrad(num_steps=0)


def test_opposite_gradients_are_stationary() -> None:
    method, rows_KP = SDMGrad(), torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    assert bool((method(rows_KP @ rows_KP.T) @ rows_KP == 0).all())
    assert int(method.status) == STATIONARY
