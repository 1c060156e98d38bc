import pytest
import torch

from mtl.balancing.cagrad import CAGrad
from mtl.balancing.method import STATIONARY
from mtl.balancing.mgda import MGDA

ROWS = torch.tensor([[1.0, 0.2, 0.0], [-0.6, 0.9, 0.1], [0.0, -0.4, 0.7]], dtype=torch.float64)


def test_update_lies_on_the_ball_around_the_mean() -> None:
    mean_P = ROWS.mean(0)
    update_P = CAGrad(c=0.4)(ROWS @ ROWS.T) @ ROWS
    torch.testing.assert_close((update_P - mean_P).norm(), 0.4 * mean_P.norm())


def test_worst_task_gains_most_of_all_points_of_the_ball() -> None:
    mean_P = ROWS.mean(0)
    update_P = CAGrad(c=0.4)(ROWS @ ROWS.T) @ ROWS
    others_NP = torch.nn.functional.normalize(torch.randn(5000, 3, dtype=torch.float64), dim=1)
    others_NP = mean_P + 0.4 * mean_P.norm() * others_NP
    assert float((ROWS @ update_P).min()) >= float((others_NP @ ROWS.T).min(1).values.max())


@pytest.mark.parametrize(("rescale", "divisor"), [(0, 1.0), (1, 1.25), (2, 1.5)])
def test_rescale_divides_the_update(rescale: int, divisor: float) -> None:
    weights_K = CAGrad(c=0.5, rescale=rescale)(ROWS @ ROWS.T)  # type: ignore[arg-type]
    torch.testing.assert_close(weights_K * divisor, CAGrad(c=0.5)(ROWS @ ROWS.T))


def test_c_of_zero_is_the_mean() -> None:
    torch.testing.assert_close(CAGrad(c=0.0)(ROWS @ ROWS.T), torch.full((3,), 1 / 3).double())


def test_a_large_c_has_the_direction_of_mgda() -> None:
    found_P, expected_P = CAGrad(c=1e4)(ROWS @ ROWS.T) @ ROWS, MGDA()(ROWS @ ROWS.T) @ ROWS
    torch.testing.assert_close(found_P / found_P.norm(), expected_P / expected_P.norm(), rtol=1e-3, atol=1e-3)


def test_a_zero_gradient_leaves_the_mean_and_says_so() -> None:
    method, rows_KP = CAGrad(), torch.tensor([[1.0, 0.0], [-0.5, 1.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(method(rows_KP @ rows_KP.T), torch.full((3,), 1 / 3).double())
    assert int(method.status) == STATIONARY


def test_rejects_a_negative_radius() -> None:
    with pytest.raises(ValueError, match="c=-1 must be at least 0"):
        CAGrad(c=-1)
