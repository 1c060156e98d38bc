"""Scale-invariant loss (SI): the sum of the log losses, so the unit of a loss does not matter.

Source: Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, baseline SI.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class ScaleInvariant(LossWeighting):
    """Minimises sum of log L_k: the weight of a task is 1 / L_k.

    A loss at or below `floor` gets weight 0; at or below 0, `status` reports it. As the transform of a gradient method
    this gives log-MGDA, log-CAGrad and so on (see `TransformedWeighting`).

        objective = ScaleInvariant()(losses)

    Args:
        floor: losses at or below this value get weight 0.
    """

    paper = "Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022 (baseline SI)"
    scaling = "each"
    positive_losses = True

    def __init__(self, floor: float = 1e-12) -> None:
        super().__init__()
        self.floor = floor

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        return torch.log(losses_K.clamp_min(self.floor)).sum()
