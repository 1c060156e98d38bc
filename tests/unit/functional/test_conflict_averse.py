import pytest
import torch
from torch import Tensor

from mtl.functional.gramian import decompose
from mtl.functional.solvers.conflict_averse import conflict_averse_weights


def gap(rows_KP: Tensor, added_K: Tensor, c: float) -> float:
    """Duality gap of the update over |g_w| |g_0|: 0 at the solution, and nowhere below."""
    mean_P, point_P = rows_KP.mean(0), added_K @ rows_KP / added_K.sum()
    update_P = mean_P + added_K @ rows_KP
    radius = c * mean_P.norm()
    assert float((added_K @ rows_KP).norm()) == pytest.approx(float(radius), rel=1e-7)
    dual = point_P @ mean_P + radius * point_P.norm()
    return float((dual - (rows_KP @ update_P).min()) / (mean_P.norm() * point_P.norm()))


@pytest.mark.parametrize("c", [0.05, 0.4, 0.9, 2.0])
@pytest.mark.parametrize("num", [2, 5, 16, 40])
def test_duality_gap_is_closed(c: float, num: int) -> None:
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        rows_KP = torch.randn(num, 2 * num, generator=generator, dtype=torch.float64)
        rows_KP = rows_KP - (0.0, 0.5, 0.9, 0.97)[seed] * rows_KP.mean(0)
        rows_KP = rows_KP * 10 ** torch.randn(num, 1, generator=generator, dtype=torch.float64)
        added_K, vanished, found = conflict_averse_weights(decompose(rows_KP @ rows_KP.T), c)
        assert bool(found)
        if not bool(vanished):
            assert float(added_K.min()) >= 0
            # rounding of the longest rows, seen from the shortest
            assert abs(gap(rows_KP, added_K, c)) < 1e-5


def test_equal_orthogonal_tasks_by_hand() -> None:
    # the mean is (1/2, 1/2), the best hull direction the same: the update is 1 + c times the mean
    added_K, vanished, _ = conflict_averse_weights(decompose(torch.eye(2).double()), 0.4)
    torch.testing.assert_close(added_K, torch.full((2,), 0.2).double())
    assert not bool(vanished)


@pytest.mark.parametrize("num", [1, 2, 4])
def test_no_gradient_at_all_adds_nothing(num: int) -> None:
    added_K, vanished, found = conflict_averse_weights(decompose(torch.zeros(num, num)), 0.4)
    assert added_K.tolist() == [0.0] * num
    assert bool(vanished)
    assert bool(found)
