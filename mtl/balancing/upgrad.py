"""UPGrad: project every task's gradient so that it conflicts with no other, then average.

Source: Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232, section 2.3.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.on_host import numbers_on
from mtl.functional.solvers.dual_cone import project_dual_cone


class UPGrad(GradientWeighting):
    """Weights w = sum over tasks k of argmin over v >= e_k / K of v G v, with G the Gramian and e_k a unit vector.

    The update conflicts with no task and is linear in the scale of each gradient. The solver does not regularise.
    TorchJD and LibMTL add 1e-4 to the diagonal of G / tr G, so a task with less than 1 % of the largest norm counts as
    zero and the update may conflict with it.

        weights = UPGrad()(gramian, losses)

    Args:
        preferences: weight of each task's projected gradient, in place of 1 / K.
    """

    paper = "Quinton, Rey, Jacobian Descent for Multi-Objective Optimization, arXiv 2024"
    scaling = "common"
    never_conflicts = True

    def __init__(self, preferences: list[float] | None = None) -> None:
        super().__init__()
        self.preferences = None if preferences is None else check_preferences(preferences)

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        projected_KK, solved = project_dual_cone(gram, preferences_of(self.preferences, index_K, gram.norms_K).diag())
        weights_K = projected_KK.sum(0)
        self.report(gram.vanishes(weights_K), inexact=~solved)
        return weights_K


def check_preferences(preferences: list[float]) -> list[float]:
    """Check the preferences that a user gave, and return them.

    Args:
        preferences: one number per task.

    Raises:
        ValueError: if the list is empty or a number is not above 0.
    """
    if not preferences or min(preferences) <= 0:
        raise ValueError(f"preferences={preferences} must have one number above 0 per task.")
    return preferences


def preferences_of(preferences: list[float] | None, index_K: Tensor, like_K: Tensor) -> Tensor:
    """Preferences of the present tasks, [K]; 1 / K each by default.

    Args:
        preferences: preferences of all tasks.
        index_K: indices of the present tasks.
        like_K: tensor [K] that sets dtype and device of the result.
    """
    if preferences is None:
        return torch.full_like(like_K, 1 / len(like_K))
    return numbers_on(like_K.device, preferences, like_K.dtype)[index_K]
