import pytest
import torch

from mtl.functional.gramian import decompose
from mtl.functional.solvers.dual_cone import project_dual_cone


def test_two_conflicting_tasks_by_hand() -> None:
    # g = (1, 0), (-1, 1): the first one projected on the complement of the second is (1/2, 1/2)
    rows_KP = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    weights_BK, solved = project_dual_cone(decompose(rows_KP @ rows_KP.T), torch.eye(2).double())
    torch.testing.assert_close(weights_BK @ rows_KP, torch.tensor([[0.5, 0.5], [0.0, 1.0]]).double())
    assert bool(solved)


@pytest.mark.parametrize("num", [3, 16, 40])
@pytest.mark.parametrize("spread", [0.0, 3.0])
@pytest.mark.parametrize("columns", [0.5, 2.0])
def test_conditions_of_the_projection_hold(num: int, spread: float, columns: float) -> None:
    rows_KP = torch.randn(num, int(num * columns), dtype=torch.float64)
    rows_KP = (rows_KP - 0.9 * rows_KP.mean(0)) * 10 ** (spread * (2 * torch.rand(num, 1).double() - 1))
    start_BK = torch.eye(num).double()
    weights_BK, solved = project_dual_cone(decompose(rows_KP @ rows_KP.T), start_BK)
    # a projection that vanishes has no digits that could be right; the method then says stationary
    assert bool(solved) or bool(decompose(rows_KP @ rows_KP.T).vanishes(weights_BK.sum(0)))
    norms_K = rows_KP.norm(dim=1)
    slack_BK = weights_BK @ rows_KP @ (rows_KP / norms_K[:, None]).T / norms_K[:, None]
    added_BK = (weights_BK - start_BK) * norms_K / norms_K[:, None]
    assert float(added_BK.min()) >= -1e-12
    assert float(slack_BK.min()) > -1e-10
    assert float((added_BK * slack_BK).abs().max()) < 1e-9


def test_what_does_not_conflict_stays() -> None:
    rows_KP = torch.rand(4, 6, dtype=torch.float64)
    start_BK = torch.rand(3, 4, dtype=torch.float64)
    torch.testing.assert_close(project_dual_cone(decompose(rows_KP @ rows_KP.T), start_BK)[0], start_BK)
