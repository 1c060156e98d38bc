"""Nash-MTL: the Nash bargaining solution between the tasks.

Source: Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, arXiv:2202.01017, eq. 2.
Shapes: K tasks.
"""

from torch import Tensor

from mtl.balancing.fairgrad import clip_update
from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.solvers.power_equation import solve_power_equation


class NashMTL(GradientWeighting):
    """Weights w > 0 with G w = 1 / w, with G the Gramian: every task gains the same share.

    The update has norm sqrt(K). The equation is the optimality condition of a convex problem, so Newton's method finds
    its one solution from any start. The convex-concave procedure of the authors, LibMTL and TorchJD starts at w = 1,
    fails if one task conflicts with the plain sum, and then silently returns w = 1. No finite weights exist at a
    Pareto-stationary point: `status` reports it, and the weights are the last iterate. A zero gradient gets weight 0
    (`status` singular). The paper's "update every n steps" is the trainer's `every: n`.

        weights = NashMTL()(gramian, losses)

    Args:
        max_norm: upper limit of the update's norm; no limit by default, as in the paper's algorithm. The authors'
            code, LibMTL and TorchJD use 1.0.
    """

    paper = "Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022"
    head_gradients = "weighted"
    scaling = "each"
    never_conflicts = True

    def __init__(self, max_norm: float | None = None) -> None:
        super().__init__()
        self.max_norm = max_norm

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        weights_K, stationary, solved = solve_power_equation(gram, 1.0)
        self.report(stationary, gram.zero_K.any(), ~solved)
        return clip_update(gram, weights_K, self.max_norm)
