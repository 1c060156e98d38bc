"""Values of one number of steps at another: what a network says every 40 ms, at the steps of a target.

Shapes: B samples, T steps of the values, L steps of the result.
"""

import torch
from torch import Tensor


def at_steps(values_BT: Tensor, steps_B: Tensor, wanted_B: Tensor, length: int) -> Tensor:
    """Linear interpolation between the middles of steps; both ends are constant. [B,L]

    Both rows of steps cover the same time: step i of n covers i/n to (i+1)/n. What lies behind the steps of a sample
    says nothing, so padding changes nothing; with as many steps as wanted the values come out as they are.

    Args:
        values_BT: the values; any behind the steps of a sample.
        steps_B: how many of the T are real, at least 1.
        wanted_B: how many steps of the result are real.
        length: L.
    """
    place_L = torch.arange(length, device=values_BT.device, dtype=torch.float64) + 0.5
    place_BL = place_L * steps_B[:, None] / wanted_B[:, None].clamp(min=1) - 0.5
    last_B1 = (steps_B[:, None] - 1).clamp(min=0)
    place_BL = torch.minimum(place_BL.clamp(min=0), last_B1.double())
    low_BL = place_BL.floor().long()
    high_BL = torch.minimum(low_BL + 1, last_B1)
    share_BL = (place_BL - low_BL).to(values_BT.dtype)
    return torch.lerp(values_BT.gather(1, low_BL), values_BT.gather(1, high_BL), share_BL)
