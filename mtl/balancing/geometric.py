"""Geometric loss strategy (GLS): the geometric mean of the losses.

Source: Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
Learning", CVPR Workshops 2019, eq. 3.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class Geometric(LossWeighting):
    """Minimises (product of L_k) ^ (1/K): the weight of a task is objective / (K L_k).

    Computed as exp of the mean logarithm, because the product of many losses, as in LibMTL, can over- or underflow. A
    loss at or below `floor` gets weight 0; at or below 0, `status` reports it.

        objective = Geometric()(losses)

    Args:
        floor: losses at or below this value get weight 0.
    """

    paper = "Chennupati et al., MultiNet++, CVPR Workshops 2019"
    scaling = "each"
    positive_losses = True

    def __init__(self, floor: float = 1e-12) -> None:
        super().__init__()
        self.floor = floor

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        return torch.log(losses_K.clamp_min(self.floor)).mean().exp()
