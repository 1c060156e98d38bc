import torch

from mtl.balancing.imtl_g import IMTLG
from mtl.balancing.method import OK, SINGULAR


def test_projections_on_all_unit_gradients_are_equal_and_weights_sum_to_one() -> None:
    rows_KP = (
        torch.randn(5, 9, dtype=torch.float64) * torch.tensor([1e-3, 1, 1e3, 0.1, 10], dtype=torch.float64)[:, None]
    )
    method = IMTLG()
    weights_K = method(rows_KP @ rows_KP.T)
    projections_K = (rows_KP / rows_KP.norm(dim=1, keepdim=True)) @ (weights_K @ rows_KP)
    torch.testing.assert_close(projections_K, projections_K[:1].expand(5))
    torch.testing.assert_close(weights_K.sum(), torch.tensor(1.0).double())
    assert int(method.status) == OK


def test_equals_the_closed_form_of_the_paper() -> None:
    # alpha_2..K = g_1 U' (D U')^-1 with rows D = g_1 - g_k and U = u_1 - u_k
    rows_KP = torch.randn(4, 9, dtype=torch.float64)
    unit_KP = rows_KP / rows_KP.norm(dim=1, keepdim=True)
    differences, units = rows_KP[:1] - rows_KP[1:], unit_KP[:1] - unit_KP[1:]
    rest = rows_KP[0] @ units.T @ torch.linalg.inv(differences @ units.T)
    expected_K = torch.cat((1 - rest.sum(dim=0, keepdim=True), rest))
    torch.testing.assert_close(IMTLG()(rows_KP @ rows_KP.T), expected_K)


def test_dependent_gradients_are_said_to_be_singular() -> None:
    rows_KP = torch.randn(4, 2, dtype=torch.float64)
    method = IMTLG()
    assert bool(method(rows_KP @ rows_KP.T).isfinite().all())
    assert int(method.status) == SINGULAR
