"""UPGrad: project every task's gradient so that it conflicts with no other, then average.

Source: Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232, section 2.3.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.dual_cone import project_dual_cone
from mtl.functional.gramian import decompose
from mtl.functional.on_host import numbers_on


class UPGrad(GradientWeighting):
    """Weights w = sum over tasks k of argmin over v >= e_k / K of v G v, with G the Gramian and e_k a unit vector.

    The update conflicts with no task, and it is linear in the scale of each gradient. Solved without regularisation:
    TorchJD and LibMTL add 1e-4 to the diagonal of G / tr G, so that a task with less than 1 % of the largest norm
    counts as zero and the update may conflict with it.

        weights = UPGrad()(gramian, losses)

    Args:
        preferences: weight of every task in place of 1 / K; the sum of the projected gradients is weighted with them.
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
        self.report(gram.vanishes(weights_K), ~solved)
        return weights_K


def check_preferences(preferences: list[float]) -> list[float]:
    """Weights that a user gave to the tasks, checked.

    Args:
        preferences: one number for each task.

    Raises:
        ValueError: if one is not above 0.
    """
    if not preferences or min(preferences) <= 0:
        raise ValueError(f"preferences={preferences} must hold a number above 0 for every task.")
    return preferences


def preferences_of(preferences: list[float] | None, index_K: Tensor, like_K: Tensor) -> Tensor:
    """Preferences of the tasks that are present, [K]; 1 / K each by default.

    Args:
        preferences: of all tasks.
        index_K: which of them are present.
        like_K: tensor of the wanted type.

    Raises:
        ValueError: if their number is not that of the tasks.
    """
    if preferences is None:
        return torch.full_like(like_K, 1 / len(like_K))
    return numbers_on(like_K.device, preferences, like_K.dtype)[index_K]
