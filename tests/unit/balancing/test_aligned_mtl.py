import pytest
import torch

from mtl.balancing.aligned_mtl import AlignedMTL
from mtl.balancing.method import OK, SINGULAR


@pytest.mark.parametrize("mode", ["min", "median", "rmse"])
def test_aligned_gradients_are_orthogonal_and_equally_long(mode: str) -> None:
    rows_KP = torch.randn(5, 9, dtype=torch.float64)
    columns = []
    for task in range(5):
        preferences = [1.0 if other == task else 1e-12 for other in range(5)]
        columns.append(AlignedMTL(mode, preferences)(rows_KP @ rows_KP.T))  # type: ignore[arg-type]
    aligned_KP = torch.stack(columns) @ rows_KP
    values_K = torch.linalg.eigvalsh(rows_KP @ rows_KP.T)
    scale = {"min": values_K[0], "median": values_K[2], "rmse": values_K.mean()}[mode]
    torch.testing.assert_close(aligned_KP @ aligned_KP.T, scale * torch.eye(5).double(), rtol=1e-8, atol=1e-8)


def test_orthogonal_gradients_by_hand() -> None:
    # lengths 1 and 3 both become 1, and the mean of them is taken
    weights_K = AlignedMTL()(torch.diag(torch.tensor([1.0, 9.0]).double()))
    torch.testing.assert_close(weights_K, torch.tensor([1 / 2, 1 / 6]).double())


def test_cut_directions_are_said() -> None:
    method = AlignedMTL()
    rows_KP = torch.randn(4, 2, dtype=torch.float64)
    assert bool(method(rows_KP @ rows_KP.T).isfinite().all())
    assert int(method.status) == SINGULAR
    rows_KP = torch.randn(4, 12, dtype=torch.float64)
    method(rows_KP @ rows_KP.T)
    assert int(method.status) == OK
