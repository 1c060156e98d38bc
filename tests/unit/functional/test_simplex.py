import pytest
import torch
from torch import Tensor

from mtl.functional.gramian import decompose
from mtl.functional.solvers.simplex import min_norm_point, project_simplex


def two(first: float, second: float, cosine: float) -> Tensor:
    product = first * second * cosine
    return torch.tensor([[first**2, product], [product, second**2]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("gramian", "expected"),
    [
        (two(1, 1, 0), [0.5, 0.5]),
        (two(1, 3, 0), [0.9, 0.1]),
        (two(1, 3, 0.5), [1, 0]),  # the shorter one is the nearest point
        (two(1, 2, -0.5), [5 / 7, 2 / 7]),
    ],
)
def test_two_tasks_have_a_closed_form(gramian: Tensor, expected: list[float]) -> None:
    weights_K, stationary, _ = min_norm_point(decompose(gramian))
    torch.testing.assert_close(weights_K, torch.tensor(expected).double())
    assert not bool(stationary)


@pytest.mark.parametrize("num", [3, 10, 40])
@pytest.mark.parametrize("spread", [0.0, 3.0])
@pytest.mark.parametrize("centred", [0.0, 0.9, 0.999])
def test_no_gradient_is_nearer_than_the_point_itself(num: int, spread: float, centred: float) -> None:
    rows_KP = torch.randn(num, 2 * num, dtype=torch.float64)
    rows_KP = (rows_KP - centred * rows_KP.mean(0)) * 10 ** (spread * (2 * torch.rand(num, 1).double() - 1))
    weights_K, stationary, _ = min_norm_point(decompose(rows_KP @ rows_KP.T))
    assert float(weights_K.min()) >= 0
    assert float(weights_K.sum()) == pytest.approx(1)
    point_P = weights_K @ rows_KP
    # <g_k, p> >= |p|^2 for all k is the condition of optimality
    excess_K = (point_P @ point_P - rows_KP @ point_P) / (rows_KP.norm(dim=1) * rows_KP.norm(dim=1).min())
    assert float(excess_K.max()) < 1e-12
    assert not bool(stationary)


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_zero_in_the_hull_is_found_and_said(spread: float) -> None:
    rows_KP = torch.randn(5, 12, dtype=torch.float64) * 10 ** (spread * (2 * torch.rand(5, 1).double() - 1))
    rows_KP[4] = -(rows_KP[:4] / rows_KP[:4].norm(dim=1, keepdim=True)).sum(0)
    weights_K, stationary, _ = min_norm_point(decompose(rows_KP @ rows_KP.T))
    assert bool(stationary)
    assert float((weights_K @ rows_KP).norm()) < 1e-13 * float(rows_KP.norm(dim=1).min())


def test_a_zero_gradient_takes_all_weight() -> None:
    rows_KP = torch.randn(3, 4, dtype=torch.float64)
    rows_KP[1] = 0
    weights_K, stationary, _ = min_norm_point(decompose(rows_KP @ rows_KP.T))
    assert weights_K.tolist() == [0, 1, 0]
    assert bool(stationary)


def test_projection_on_the_simplex() -> None:
    torch.testing.assert_close(project_simplex(torch.tensor([0.2, 0.3, 0.5])), torch.tensor([0.2, 0.3, 0.5]))
    torch.testing.assert_close(project_simplex(torch.tensor([2.0, 0.0])), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(project_simplex(torch.tensor([0.8, 0.6, -3.0])), torch.tensor([0.6, 0.4, 0.0]))


def test_projection_is_the_nearest_of_many_points() -> None:
    point_K = torch.randn(6, dtype=torch.float64)
    nearest_K = project_simplex(point_K)
    others_NK = torch.distributions.Dirichlet(torch.full((6,), 0.5).double()).sample((2000,))
    assert float(nearest_K.sum()) == pytest.approx(1)
    assert bool(((others_NK - point_K).norm(dim=1) >= (nearest_K - point_K).norm()).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("exponent", range(-30, 38, 4))
def test_projection_of_points_of_any_size_is_on_the_simplex(exponent: int, dtype: torch.dtype) -> None:
    for seed in range(20):
        point_K = torch.randn(1 + seed % 7, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 10.0**exponent
        nearest_K = project_simplex(point_K)
        assert float(nearest_K.min()) >= 0
        assert float(nearest_K.sum()) == pytest.approx(1, abs=1e-6)
        assert float(nearest_K[point_K.argmax()]) == float(nearest_K.max())
