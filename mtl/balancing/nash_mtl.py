"""Nash-MTL: the Nash bargaining solution between the tasks.

Source: Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, arXiv:2202.01017, eq. 2.
Shapes: K tasks.
"""

from torch import Tensor

from mtl.balancing.fairgrad import clip_update
from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.power_equation import solve_power_equation


class NashMTL(GradientWeighting):
    """Weights w > 0 with G w = 1 / w, with G the Gramian: every task gains the same share. The update has length
    sqrt(K).

    The equation is the optimality of a convex problem, so Newton's method finds the one solution from any start. The
    authors' and both libraries' convex-concave procedure starts at w = 1, fails when one task conflicts with the plain
    sum, and then returns w = 1 without a word. At a Pareto-stationary point no finite weights exist; `status` says so,
    and the weights are those at which it was seen. A zero gradient gets weight 0 (`status` singular).
    The paper's "update every n steps" is the trainer's `every: n`.

        weights = NashMTL()(gramian, losses)

    Args:
        max_norm: shrink the weights so that the update is no longer than this; none by default, as in the paper's
            algorithm. The authors' code and both libraries take 1.0.
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
        weights_K, stationary, found = solve_power_equation(gram, 1.0)
        self.report(stationary, gram.zero_K.any() | ~found)
        return clip_update(gram, weights_K, self.max_norm)
