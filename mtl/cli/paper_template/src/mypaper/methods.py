"""Mine: every task has a gradient of the same length.

Source: your paper; w_k = mean_j |g_j| / |g_k|.
Shapes: K tasks.
"""

import torch
from mtl.balancing.protocols import GradientWeighting
from torch import Tensor


class Mine(GradientWeighting):
    """Scale the gradient of every task to the mean length.

        weights = Mine()(gramian, losses)

    Args:
        shortest: gradients below this share of the mean length get weight 0.
    """

    paper = "Your Names, Your Title, Your Venue 2026"
    scaling = "each"  # the contract tests hold the method to what it promises here

    def __init__(self, shortest: float = 1e-6) -> None:
        super().__init__()
        if not 0 < shortest < 1:
            raise ValueError(f"shortest={shortest} must be above 0 and below 1.")
        self.shortest = shortest

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        length_K = gramian_KK.diagonal().clamp_min(0).sqrt()
        mean = length_K.mean()
        self.report(stationary=mean == 0)
        return torch.where(length_K > self.shortest * mean, mean / length_K, 0.0)
