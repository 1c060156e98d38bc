"""Focal loss of independent classes with hard targets.

Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002, eq. 5. Equal to torchvision's
`sigmoid_focal_loss` for targets of 0 and 1, in fewer passes over memory: with s = x for a 0 and -x for a 1, both cases
are one expression, sigmoid(s)^2 * softplus(s).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25) -> Tensor:
    """Focal loss of every entry, with an exponent (gamma) of 2.

    Args:
        logits: any shape.
        target: what is true, bool of the same shape.
        alpha: weight of the true entries, 0 to 1; the others have 1 - alpha. The paper takes 0.25.

    Returns:
        The loss of every entry.
    """
    wrong = torch.where(target, -logits, logits)
    return wrong.sigmoid().square() * F.softplus(wrong) * torch.where(target, alpha, 1 - alpha)
