import pytest
import torch

from mtl.balancing.cr_mogm import CRMOGM
from mtl.balancing.method import STATIONARY
from mtl.balancing.mgda import MGDA
from mtl.balancing.pcgrad import PCGrad

FIRST, SECOND = torch.diag(torch.tensor([1.0, 9.0]).double()), torch.diag(torch.tensor([4.0, 1.0]).double())


def test_weights_are_a_running_mean_of_the_wrapped_ones() -> None:
    method = CRMOGM(alpha=0.75)
    first_K, second_K = MGDA()(FIRST), MGDA()(SECOND)
    torch.testing.assert_close(method(FIRST), first_K)
    torch.testing.assert_close(method(SECOND), 0.75 * first_K + 0.25 * second_K)


def test_may_start_from_equal_weights() -> None:
    torch.testing.assert_close(CRMOGM(alpha=0.75, start="equal")(FIRST), 0.375 + 0.25 * MGDA()(FIRST))


def test_status_and_state_are_those_of_the_wrapped_method() -> None:
    method = CRMOGM(PCGrad())
    method(FIRST)
    assert int(method.state_dict()["method.calls"]) == 1
    method = CRMOGM()
    method(torch.ones(2, 2).double() * torch.tensor([[1, -1], [-1, 1]]))
    assert int(method.status) == STATIONARY


def test_rejects_an_alpha_above_one() -> None:
    with pytest.raises(ValueError, match="within 0..1"):
        CRMOGM(alpha=1.5)
