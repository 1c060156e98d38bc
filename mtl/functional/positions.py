"""Sines and cosines that tell a transformer the place of each step.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.5.
Shapes: T steps, C channels.
"""

import math

import torch
from torch import Tensor


def positions(steps: int, width: int, device: torch.device | None = None) -> Tensor:
    """Sine and cosine of the step at falling frequencies, in turn, [T,C].

    Args:
        steps: number of steps.
        width: channels, even.
        device: where it is computed; a copy from the host would wait there.
    """
    frequency_C = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    angle_TC = torch.arange(steps, device=device)[:, None] * frequency_C
    return torch.stack((angle_TC.sin(), angle_TC.cos()), -1).flatten(1)
