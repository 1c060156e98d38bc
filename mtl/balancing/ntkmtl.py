"""NTKMTL: weigh tasks so that they learn equally fast, by the size of their neural tangent kernels.

Source: Qin et al., "NTKMTL: Mitigating Task Imbalance in Multi-Task Learning from Neural Tangent Kernel Perspective",
NeurIPS 2025, arXiv:2510.18258.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose


class NTKMTL(GradientWeighting):
    """Weights w_k = (sum_j G_jj / G_kk)^power, with G the Gramian of the batch's task gradients.

    The weights need only the norms. This is the paper's n = 1. Its variant NTKMTL-SR replaces G_kk by the largest
    eigenvalue of each task's kernel over n = 4 parts of the batch, which the Gramian does not contain. A zero gradient
    gets weight 0 (`status` singular).
    As in the authors' code, heads follow their own loss (`head_gradients: weighted` weighs them too).

        weights = NTKMTL()(gramian, losses)

    Args:
        power: above 0; the paper uses 0.5, which makes all weighted gradients equally long, and suggests trying 0.75.

    Raises:
        ValueError: if the power is not above 0.
    """

    paper = "Qin et al., NTKMTL: Mitigating Task Imbalance in MTL from Neural Tangent Kernel Perspective, NeurIPS 2025"
    scaling = "common"

    def __init__(self, power: float = 0.5) -> None:
        super().__init__()
        if power <= 0:
            raise ValueError(f"power={power} must be above 0; the paper uses 0.5.")
        self.power = power

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        squared_K = gram.norms_K.square()
        total = torch.where(gram.zero_K, 0.0, squared_K).sum()
        self.report(singular=gram.zero_K.any())
        return torch.where(gram.zero_K, 0.0, (total / squared_K) ** self.power)
