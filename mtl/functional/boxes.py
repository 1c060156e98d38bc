"""Generalised IoU of boxes, element by element.

Source: Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019, arXiv:1902.09630, algorithm 1.
torchvision's `generalized_box_iou_loss` indexes by a mask, which syncs a GPU with the host, and does not broadcast.
"""

import torch
from torch import Tensor


def giou_loss(found: Tensor, truth: Tensor) -> Tensor:
    """One minus the generalised IoU: 0 for equal boxes, up to 2 for distant ones.

    Args:
        found: predicted boxes, xyxy, [..., 4].
        truth: true boxes, xyxy in the same unit, of a shape that broadcasts.

    Returns:
        The loss of each pair, [...]; also finite for boxes without area.
    """
    tiny = torch.finfo(found.dtype).eps
    common = _area(torch.maximum(found[..., :2], truth[..., :2]), torch.minimum(found[..., 2:], truth[..., 2:]))
    union = _area(found[..., :2], found[..., 2:]) + _area(truth[..., :2], truth[..., 2:]) - common
    hull = _area(torch.minimum(found[..., :2], truth[..., :2]), torch.maximum(found[..., 2:], truth[..., 2:]))
    return 1 - common / (union + tiny) + (hull - union) / (hull + tiny)


def _area(low: Tensor, high: Tensor) -> Tensor:
    # not prod(): its gradient at a zero side costs a second pass
    size = (high - low).clamp(min=0)
    return size[..., 0] * size[..., 1]
