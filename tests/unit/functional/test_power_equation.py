import pytest
import torch
from torch import Tensor

from mtl.functional.gramian import decompose
from mtl.functional.solvers.power_equation import solve_power_equation


def rows(num: int, spread: float, conflict: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows_KP = torch.randn(num, 3 * num, generator=generator, dtype=torch.float64)
    rows_KP = rows_KP - conflict * rows_KP.mean(0)
    return rows_KP * 10 ** (spread * (2 * torch.rand(num, 1, generator=generator, dtype=torch.float64) - 1))


@pytest.mark.parametrize("power", [1.0, 0.5, 0.1, 2.0])
@pytest.mark.parametrize("num", [1, 2, 5, 16, 40])
@pytest.mark.parametrize("spread", [0.0, 3.0, 6.0])
def test_solves_the_equation(power: float, num: int, spread: float) -> None:
    for seed in range(3):
        rows_KP = rows(num, spread, 0.9 if seed else 0.0, seed)
        weights_K, hull, found = solve_power_equation(decompose(rows_KP @ rows_KP.T), power)
        # norms over 12 decades leave too few digits for the extreme powers
        if spread == 6 and power in (0.1, 2.0) and not bool(found):
            continue
        assert bool(found)
        assert not bool(hull)
        assert float(weights_K.min()) > 0
        # each side is a sum with rounding of eps times the lengths of what is summed
        left_K, right_K = rows_KP @ (weights_K @ rows_KP), weights_K**-power
        lengths_K = rows_KP.norm(dim=1)
        rounding_K = 1e-12 * lengths_K * (weights_K @ lengths_K)
        assert bool(((left_K - right_K).abs() <= 1e-9 * right_K + rounding_K).all())


def test_preferences_enter_the_equation() -> None:
    rows_KP, preference_K = rows(4, 1.0, 0.5), torch.tensor([0.3, 1.0, 2.0, 0.7])
    weights_K = solve_power_equation(decompose(rows_KP @ rows_KP.T), 0.5, preference_K)[0]
    torch.testing.assert_close(rows_KP @ (weights_K @ rows_KP), (preference_K / weights_K).sqrt())


def test_one_task_by_hand() -> None:
    # 4 w = 1 / w
    assert float(solve_power_equation(decompose(torch.tensor([[4.0]])), 1.0)[0]) == pytest.approx(0.5)
    # 4 w = w^-1/2
    assert float(solve_power_equation(decompose(torch.tensor([[4.0]])), 0.5)[0]) == pytest.approx(4 ** (-2 / 3))


def test_orthogonal_tasks_by_hand() -> None:
    weights_K = solve_power_equation(decompose(torch.diag(torch.tensor([1.0, 9.0]).double())), 1.0)[0]
    torch.testing.assert_close(weights_K, torch.tensor([1.0, 1 / 3]).double())


@pytest.mark.parametrize("power", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_zero_in_the_hull_is_said_and_weights_stay_finite(power: float, dtype: torch.dtype) -> None:
    rows_KP = torch.randn(4, 9, dtype=torch.float64)
    rows_KP[3] = -rows_KP[:3].sum(0)
    weights_K, hull, _ = solve_power_equation(decompose((rows_KP @ rows_KP.T).to(dtype)), power)
    assert bool(hull)
    assert bool(weights_K.isfinite().all())
    # the weights of the vanishing combination are equal
    torch.testing.assert_close(weights_K / weights_K.mean(), torch.ones(4).double(), rtol=1e-2, atol=0)


def test_a_zero_gradient_gets_no_weight_and_leaves_the_others_alone() -> None:
    rows_KP = rows(3, 0.0, 0.0)
    expected_K = solve_power_equation(decompose(rows_KP @ rows_KP.T), 1.0)[0]
    rows_KP = torch.cat((rows_KP, torch.zeros(1, rows_KP.shape[1]).double()))
    weights_K = solve_power_equation(decompose(rows_KP @ rows_KP.T), 1.0)[0]
    torch.testing.assert_close(weights_K, torch.cat((expected_K, torch.zeros(1).double())))
