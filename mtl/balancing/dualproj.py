"""DualProj: project the mean gradient so that it conflicts with no task.

Source: Lopez-Paz, Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017, arXiv:1706.08840, eq. 11;
this form: Quinton, Rey, "Jacobian Descent for Multi-Objective Optimization", arXiv:2406.16232.
Shapes: K tasks.
"""

from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.balancing.upgrad import check_preferences, preferences_of
from mtl.functional.gramian import decompose
from mtl.functional.solvers.dual_cone import project_dual_cone


class DualProj(GradientWeighting):
    """Weights w = argmin over v >= 1 / K of v G v, with G the Gramian: the conflict-free update nearest to the mean.

    If no tasks conflict, the update is the mean gradient. Unlike TorchJD and LibMTL, the solver does not regularise
    (see `UPGrad`).

        weights = DualProj()(gramian, losses)

    Args:
        preferences: weight of each task in place of 1 / K.
    """

    paper = "Lopez-Paz, Ranzato, Gradient Episodic Memory for Continual Learning, NeurIPS 2017"
    scaling = "common"
    never_conflicts = True

    def __init__(self, preferences: list[float] | None = None) -> None:
        super().__init__()
        self.preferences = None if preferences is None else check_preferences(preferences)

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        projected_1K, solved = project_dual_cone(gram, preferences_of(self.preferences, index_K, gram.norms_K)[None])
        self.report(gram.vanishes(projected_1K[0]), inexact=~solved)
        return projected_1K[0]
