import pytest
import torch

from mtl.balancing.fairgrad import FairGrad
from mtl.balancing.mgda import MGDA
from mtl.balancing.nash_mtl import NashMTL

ROWS = torch.tensor([[1.0, 0.2, 0.0], [-0.6, 0.9, 0.1], [0.0, -0.4, 0.7]], dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
def test_solves_its_equation(alpha: float) -> None:
    weights_K = FairGrad(alpha)(ROWS @ ROWS.T)
    torch.testing.assert_close(ROWS @ (weights_K @ ROWS), weights_K ** (-1 / alpha))


def test_alpha_of_one_is_nash_mtl() -> None:
    torch.testing.assert_close(FairGrad(1.0)(ROWS @ ROWS.T), NashMTL()(ROWS @ ROWS.T))


def test_a_small_alpha_is_the_plain_sum() -> None:
    torch.testing.assert_close(FairGrad(1e-3)(ROWS @ ROWS.T), torch.ones(3).double(), rtol=1e-2, atol=0)


def test_a_large_alpha_is_max_min_fair() -> None:
    found_P, expected_P = FairGrad(50.0)(ROWS @ ROWS.T) @ ROWS, MGDA()(ROWS @ ROWS.T) @ ROWS
    torch.testing.assert_close(found_P / found_P.norm(), expected_P / expected_P.norm(), rtol=0.1, atol=0.02)


def test_max_norm_is_the_length_of_a_longer_update() -> None:
    weights_K = FairGrad(max_norm=0.1)(ROWS @ ROWS.T)
    assert float((weights_K @ ROWS).norm()) == pytest.approx(0.1)


def test_rejects_an_alpha_of_zero() -> None:
    with pytest.raises(ValueError, match="alpha=0 must be above 0"):
        FairGrad(alpha=0)
