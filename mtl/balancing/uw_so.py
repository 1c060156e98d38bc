"""Soft optimal uncertainty weighting (UW-SO): the optimal weights of UW in closed form, softened by a softmax.

Source: Kirchdorfer et al., "Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning", GCPR 2024.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class UWSO(LossWeighting):
    """Weights w = softmax(1 / (T sg(L))), which sum to 1, without learned parameters; sg stops the gradient.

    The optimal weight of uncertainty weighting for a fixed loss is 1 / L_k (UW-O); the softmax limits it. T is the only
    hyperparameter; its best value depends on the size of the losses, and the paper tunes it by line search.

        objective = UWSO(temperature=10)(losses)

    Args:
        temperature: T; larger values make the weights more equal.
        floor: lower bound on L, so that 1 / L stays finite.
    """

    paper = "Kirchdorfer et al., Analytical Uncertainty-Based Loss Weighting in Multi-Task Learning, GCPR 2024"
    positive_losses = True

    def __init__(self, temperature: float = 1.0, floor: float = 1e-6) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature={temperature} must be above 0; large values make the weights equal.")
        self.temperature = temperature
        self.floor = floor

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        weights_K = torch.softmax(1 / losses_K.detach().clamp_min(self.floor) / self.temperature, dim=0)
        return (weights_K * losses_K).sum()
