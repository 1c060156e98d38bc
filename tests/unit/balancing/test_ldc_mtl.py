"""Loss discrepancy control."""

import pytest
import torch

from mtl.balancing.ldc_mtl import LDCMTL


def test_softmax_form_is_that_of_the_cityscapes_code() -> None:
    method = LDCMTL(discrepancy=0.1, weights="softmax", tau="one")
    losses = torch.tensor([1.0, 4.0, 2.0])
    assert method(losses).item() == pytest.approx(7 / 3 + 0.1 * (3 + 2))


def test_sigmoid_form_is_that_of_the_celeba_code() -> None:
    method = LDCMTL(discrepancy=0.01)
    losses = torch.tensor([1.0, 4.0, 2.0])
    # every weight is 1/2: the mean of the losses, and half of the differences
    assert method(losses).item() == pytest.approx(7 / 3 + 0.01 * 0.5 * (3 + 2))


def test_the_larger_neighbour_is_pulled_down() -> None:
    weights = LDCMTL(discrepancy=0.1, weights="softmax", tau="one").weights(torch.tensor([1.0, 4.0]))
    torch.testing.assert_close(weights, torch.tensor([0.4, 0.6]))


def test_normalised_losses_start_at_one() -> None:
    method = LDCMTL(normalise=True)
    first = torch.tensor([2.0, 50.0])
    assert method(first).item() == pytest.approx(1.0)
    assert method(first / 2).item() == pytest.approx(0.5)
    torch.testing.assert_close(method.first_K, first)


def test_the_weights_are_learned() -> None:
    method = LDCMTL(weight_lr=0.01)
    method(torch.tensor([1.0, 4.0])).backward()
    assert method.logits.grad is not None
    assert method.logits.grad.all()
    assert method.parameter_groups()[0]["lr"] == 0.01


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(ValueError, match="discrepancy=-1 must be at least 0"):
        LDCMTL(discrepancy=-1)
