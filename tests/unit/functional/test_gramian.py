import pytest
import torch

from mtl.functional.gramian import decompose, widest


def test_norms_and_cosines_of_two_tasks() -> None:
    shape = decompose(torch.tensor([[4.0, 3.0], [3.0, 9.0]]))
    torch.testing.assert_close(shape.norms_K, torch.tensor([2.0, 3.0]).double())
    torch.testing.assert_close(shape.cosines_KK, torch.tensor([[1.0, 0.5], [0.5, 1.0]]).double())
    assert not shape.zero_K.any()


def test_a_zero_gradient_is_orthogonal_to_all() -> None:
    shape = decompose(torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(shape.cosines_KK, torch.eye(2).double())
    assert shape.zero_K.tolist() == [False, True]
    assert shape.norms_K.tolist() == [2.0, 1.0]
    assert bool(shape.singular())
    assert shape.equal_projections().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_cosines_are_positive_semi_definite_for_duplicates(dtype: torch.dtype) -> None:
    rows_KP = torch.randn(3, 8).to(dtype).repeat(4, 1) * 10 ** torch.linspace(-6, 6, 12).to(dtype)[:, None]
    shape = decompose(rows_KP @ rows_KP.T)
    assert int((shape.values_K > 0).sum()) == 3
    assert float(torch.linalg.eigvalsh(shape.cosines_KK).min()) > -1e-14
    assert bool(shape.singular())


def test_tiny_norms_count_as_zero_only_below_the_smallest_normal_number() -> None:
    rows_KP = torch.tensor([[1e-15, 0.0], [0.0, 1e15]], dtype=torch.float32)
    assert not decompose(rows_KP @ rows_KP.T).zero_K.any()
    assert decompose(torch.tensor([[1e-42, 0.0], [0.0, 1.0]])).zero_K.tolist() == [True, False]


def test_opposed_gradients_vanish_in_balance_only() -> None:
    rows_KP = torch.tensor([[1.0, 2.0], [-2.0, -4.0]], dtype=torch.float64)
    shape = decompose(rows_KP @ rows_KP.T)
    assert bool(shape.vanishes(torch.tensor([2.0, 1.0]).double()))
    assert not bool(shape.vanishes(torch.tensor([1.0, 1.0]).double()))


def test_equal_projections_are_equal() -> None:
    rows_KP = torch.randn(4, 9, dtype=torch.float64)
    shape = decompose(rows_KP @ rows_KP.T)
    unit_KP = rows_KP / rows_KP.norm(dim=1, keepdim=True)
    torch.testing.assert_close(unit_KP @ (shape.equal_projections() @ unit_KP), torch.ones(4).double())


def test_work_is_in_float64_on_the_cpu() -> None:
    assert widest(torch.ones(1, dtype=torch.bfloat16)).dtype == torch.float64
