"""Focal loss, against torchvision's."""

import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from mtl.functional.focal import focal_loss


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_equals_torchvision_in_value_and_gradient(alpha: float) -> None:
    logits, target = (5 * torch.randn(200)).requires_grad_(), torch.rand(200) < 0.3
    ours, theirs = focal_loss(logits, target, alpha), sigmoid_focal_loss(logits, target.float(), alpha)
    torch.testing.assert_close(ours, theirs)
    mine = torch.autograd.grad(ours.sum(), logits, retain_graph=True)
    torch.testing.assert_close(mine, torch.autograd.grad(theirs.sum(), logits))


def test_known_value() -> None:
    # probability one half: 0.25 * 0.5^2 * log 2
    assert focal_loss(torch.zeros(()), torch.tensor(True)).item() == pytest.approx(math.log(2) / 16)


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([True, True, False, False]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
