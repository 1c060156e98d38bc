import torch

from mtl.balancing.conflict_free import ConFIG
from mtl.balancing.method import SINGULAR, STATIONARY


def test_equals_the_formula_on_the_gradients() -> None:
    rows_KP = torch.randn(4, 9, dtype=torch.float64)
    direction_P = torch.linalg.pinv(rows_KP / rows_KP.norm(dim=1, keepdim=True)) @ torch.ones(4).double()
    direction_P = direction_P / direction_P.norm()
    torch.testing.assert_close(ConFIG()(rows_KP @ rows_KP.T) @ rows_KP, (rows_KP @ direction_P).sum() * direction_P)


def test_dependent_gradients_take_the_pseudo_inverse() -> None:
    rows_KP = torch.randn(5, 3, dtype=torch.float64)
    direction_P = torch.linalg.pinv(rows_KP / rows_KP.norm(dim=1, keepdim=True)) @ torch.ones(5).double()
    direction_P = direction_P / direction_P.norm()
    method = ConFIG()
    torch.testing.assert_close(method(rows_KP @ rows_KP.T) @ rows_KP, (rows_KP @ direction_P).sum() * direction_P)
    assert int(method.status) == SINGULAR


def test_opposed_gradients_have_no_direction() -> None:
    rows_KP = torch.tensor([[1.0, 1.0], [-2.0, -2.0]], dtype=torch.float64)
    method = ConFIG()
    assert method(rows_KP @ rows_KP.T).tolist() == [0, 0]
    assert int(method.status) == STATIONARY
