"""Generalised IoU, against torchvision's."""

import torch
from torchvision.ops import generalized_box_iou, generalized_box_iou_loss

from mtl.functional.boxes import giou_loss


def boxes(count: int) -> torch.Tensor:
    corner = torch.rand(count, 2) * 20
    return torch.cat((corner, corner + torch.rand(count, 2) * 20), 1)


def test_equals_torchvision_in_value_and_gradient() -> None:
    found, truth = boxes(50).requires_grad_(), boxes(50)
    ours, theirs = giou_loss(found, truth), generalized_box_iou_loss(found, truth)
    torch.testing.assert_close(ours, theirs)
    mine = torch.autograd.grad(ours.sum(), found, retain_graph=True)
    torch.testing.assert_close(mine, torch.autograd.grad(theirs.sum(), found))


def test_broadcasts_over_pairs() -> None:
    a, b = boxes(4), boxes(3)
    torch.testing.assert_close(1 - giou_loss(a[:, None], b[None]), generalized_box_iou(a, b))


def test_known_values() -> None:
    box = torch.tensor([0.0, 0, 2, 2])
    assert abs(giou_loss(box, box).item()) < 1e-6
    # two squares of area 4 that touch in a corner: IoU 0, hull 16, union 8
    assert abs(giou_loss(box, torch.tensor([2.0, 2, 4, 4])).item() - 1.5) < 1e-6


def test_boxes_without_area_give_a_finite_loss_and_gradient() -> None:
    point = torch.zeros(3, 4, requires_grad=True)
    loss = giou_loss(point, torch.zeros(3, 4)).sum()
    loss.backward()
    assert loss.isfinite()
    assert point.grad is not None
    assert point.grad.isfinite().all()
