import pytest
import torch

from mtl.balancing.cr_mogm import CRMOGM
from mtl.balancing.famo import FAMO
from mtl.balancing.method import STATIONARY
from mtl.balancing.mgda import MGDA
from mtl.balancing.nash_mtl import NashMTL
from mtl.balancing.pcgrad import PCGrad
from mtl.balancing.scale_invariant import ScaleInvariant
from mtl.balancing.transformed import TransformedWeighting
from mtl.balancing.uncertainty import Uncertainty

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


def test_passes_on_everything_of_what_it_wraps() -> None:
    losses = torch.tensor([1.0, 2.0])
    learned = TransformedWeighting(Uncertainty(), PCGrad())
    with torch.no_grad():
        learned.build(2)
        next(learned.parameters()).copy_(torch.tensor([0.5, -0.5]))
    wrapped = CRMOGM(learned)
    torch.testing.assert_close(wrapped.head_weights(losses), learned.head_weights(losses))
    term = wrapped.parameter_loss(losses)
    assert term is not None
    term.backward()
    assert bool(next(learned.parameters()).grad.abs().min() > 0)  # type: ignore[union-attr]
    assert CRMOGM(NashMTL()).head_gradients == "weighted"
    famo = FAMO()
    looks_back = CRMOGM(TransformedWeighting(famo, MGDA()))
    looks_back(FIRST, losses)
    assert looks_back.losses_after_step
    looks_back.observe_step(losses / 2)
    assert int(famo.step) == 1


def test_a_transform_passes_on_to_a_method_that_learns() -> None:
    losses = torch.tensor([1.0, 2.0])
    inner, famo = Uncertainty(), FAMO()
    nested = TransformedWeighting(ScaleInvariant(), TransformedWeighting(inner, MGDA()))
    term = nested.parameter_loss(losses)
    assert term is not None
    term.backward()
    assert next(inner.parameters()).grad is not None
    nested = TransformedWeighting(ScaleInvariant(), TransformedWeighting(famo, MGDA()))
    nested(FIRST, losses)
    assert nested.losses_after_step
    nested.observe_step(losses / 2)
    # the transform gave the losses 1 and 1; after the step they are half of that
    torch.testing.assert_close(famo.log_before_K.exp(), torch.ones(2), atol=1e-6, rtol=0)
    assert int(famo.step) == 1
