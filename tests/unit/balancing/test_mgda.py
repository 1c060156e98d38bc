import pytest
import torch

from mtl.balancing.method import STATIONARY
from mtl.balancing.mgda import MGDA

ROWS = torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64)


def test_shorter_gradient_weighs_more() -> None:
    torch.testing.assert_close(MGDA()(ROWS @ ROWS.T), torch.tensor([0.1, 0.9]).double())


def test_weights_may_sum_to_the_number_of_tasks() -> None:
    torch.testing.assert_close(MGDA(sum_to="tasks")(ROWS @ ROWS.T), torch.tensor([0.2, 1.8]).double())


@pytest.mark.parametrize("normalization", ["l2", "loss", "loss+"])
def test_normalisation_equals_the_plain_method_on_divided_gradients(normalization: str) -> None:
    rows_KP, losses_K = torch.randn(4, 9, dtype=torch.float64), torch.rand(4, dtype=torch.float64) + 0.5
    divisor_K = {"l2": rows_KP.norm(dim=1), "loss": losses_K, "loss+": losses_K * rows_KP.norm(dim=1)}[normalization]
    divided_KP = rows_KP / divisor_K[:, None]
    expected_P = MGDA()(divided_KP @ divided_KP.T) @ divided_KP
    weights_K = MGDA(normalization=normalization)(rows_KP @ rows_KP.T, losses_K)  # type: ignore[arg-type]
    torch.testing.assert_close(weights_K @ rows_KP, expected_P)


def test_opposed_gradients_are_stationary() -> None:
    rows_KP = torch.tensor([[1.0, 1.0], [-2.0, -2.0]], dtype=torch.float64)
    method = MGDA()
    torch.testing.assert_close(method(rows_KP @ rows_KP.T), torch.tensor([2 / 3, 1 / 3]).double())
    assert int(method.status) == STATIONARY
