import pytest
import torch

from mtl.balancing.gradnorm import GradNorm
from mtl.balancing.method import NOT_POSITIVE

GRAMIAN = torch.diag(torch.tensor([4.0, 1.0]).double())


def test_first_weights_are_ones_and_the_sum_stays() -> None:
    method = GradNorm()
    assert method(GRAMIAN, torch.ones(2)).tolist() == [1.0, 1.0]
    for _ in range(5):
        assert float(method(GRAMIAN, torch.ones(2)).sum()) == pytest.approx(2)


def test_equally_fast_tasks_get_equally_long_gradients() -> None:
    method = GradNorm(lr=0.01)
    for _ in range(400):
        weights_K = method(GRAMIAN, torch.ones(2))
    torch.testing.assert_close(weights_K, torch.tensor([2 / 3, 4 / 3]).double(), rtol=0.03, atol=0)


def test_slower_task_gets_a_longer_gradient() -> None:
    method = GradNorm(alpha=1.0, lr=0.01)
    method(GRAMIAN, torch.tensor([1.0, 1.0]))
    for _ in range(600):
        weights_K = method(GRAMIAN, torch.tensor([0.5, 1.0]))
    lengths_K = weights_K * torch.tensor([2.0, 1.0])
    assert float(lengths_K[1] / lengths_K[0]) == pytest.approx(2, rel=0.05)  # as the ratios of their losses


def test_first_move_of_adam_by_hand() -> None:
    method = GradNorm(lr=0.1)
    method(GRAMIAN, torch.ones(2))
    torch.testing.assert_close(method.weights_K, torch.tensor([0.9, 1.1]).double())


def test_a_loss_of_zero_is_said_and_moves_as_if_all_were_equally_fast() -> None:
    method = GradNorm()
    assert bool(method(GRAMIAN, torch.tensor([0.0, 1.0])).isfinite().all())
    assert int(method.status) == NOT_POSITIVE


def test_rejects_a_learning_rate_of_zero() -> None:
    with pytest.raises(ValueError, match="lr=0 must be above 0"):
        GradNorm(lr=0)
