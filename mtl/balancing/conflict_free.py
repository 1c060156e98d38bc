"""ConFIG: the direction with the same cosine to every task gradient; its length is the sum of their projections.

Source: Liu, Chu, Thuerey, "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks", ICLR 2025,
arXiv:2408.11104, eq. 2 and 3.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.solvers.optimality import equal_projections_error


class ConFIG(GradientWeighting):
    """The update d = (sum_k g_k . u) u with u the unit vector along pinv(unit gradients) 1.

    The paper works on the gradients. On the Gramian, u is along sum_k c_k g_k / n_k with c = C^-1 1, C the cosines and
    n the norms. If the gradients are linearly dependent, the pseudo-inverse is used and `status` is singular; if that
    gives no direction either, the weights are 0 and `status` is Pareto-stationary. The momentum version (M-ConFIG),
    with one task per step, is not implemented.

        weights = ConFIG()(gramian, losses)
    """

    paper = "Liu, Chu, Thuerey, ConFIG: Towards Conflict-free Training of PINNs, ICLR 2025"
    scaling = "each"

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        unit_K = gram.equal_projections()
        projections_K = torch.where(gram.zero_K, 0.0, gram.norms_K * (gram.cosines_KK @ unit_K))
        squared = unit_K @ gram.cosines_KK @ unit_K
        none = squared <= 10 * gram.noise
        self.report(none, gram.singular(), equal_projections_error(gram, unit_K) > gram.tolerance)
        return torch.where(none, 0.0, projections_K.sum() / torch.where(none, 1.0, squared) * unit_K / gram.norms_K)
