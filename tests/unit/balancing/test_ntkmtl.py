import pytest
import torch

from mtl.balancing.method import SINGULAR
from mtl.balancing.ntkmtl import NTKMTL

GRAMIAN = torch.tensor([[4.0, 1.0], [1.0, 12.0]], dtype=torch.float64)


def test_by_hand() -> None:
    torch.testing.assert_close(NTKMTL()(GRAMIAN), torch.tensor([2.0, (4 / 3) ** 0.5]).double())
    torch.testing.assert_close(NTKMTL(power=1.0)(GRAMIAN), torch.tensor([4.0, 4 / 3]).double())


def test_weighted_gradients_are_equally_long() -> None:
    lengths_K = NTKMTL()(GRAMIAN) * GRAMIAN.diagonal().sqrt()
    torch.testing.assert_close(lengths_K[0], lengths_K[1])


def test_a_zero_gradient_gets_no_weight() -> None:
    method = NTKMTL()
    assert method(torch.diag(torch.tensor([0.0, 4.0]))).tolist() == [0.0, 1.0]
    assert int(method.status) == SINGULAR


def test_rejects_a_power_of_zero() -> None:
    with pytest.raises(ValueError, match="power=0 must be above 0"):
        NTKMTL(power=0)
