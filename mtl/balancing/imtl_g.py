"""IMTL-G: the update has the same projection on every task's unit gradient.

Source: Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.1.
Shapes: K tasks.
"""

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.solvers.optimality import equal_projections_error


class IMTLG(GradientWeighting):
    """Weights w = (C^-1 1) / n, divided by their sum, with C the cosines and n the norms of the task gradients.

    This equals the paper's closed form, which uses differences of gradients. Weights may be negative; the update may
    then conflict with every task. If the gradients are linearly dependent, the pseudo-inverse is used and `status` is
    singular. TorchJD takes the pseudo-inverse of the Gramian itself, which drops small tasks (70 % off for norms 1e-4
    to 1e4). For the paper's full IMTL, combine it with `IMTLL` in `TransformedWeighting`.

        weights = IMTLG()(gramian, losses)
    """

    paper = "Liu et al., Towards Impartial Multi-task Learning, ICLR 2021"
    scaling = "common"  # one factor per task can change the sign of the sum

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        factors_K = gram.equal_projections()
        weights_K = factors_K / gram.norms_K
        total = weights_K.sum()
        no_sum = total.abs() <= 1e-12 * weights_K.abs().sum()
        # weights of both signs may cancel in their sum, which then has fewer digits than they
        cancelled = weights_K.abs().sum() / total.abs()
        error = equal_projections_error(gram, factors_K) * cancelled
        self.report(singular=no_sum | gram.singular(), inexact=error > gram.tolerance)
        return weights_K / torch.where(no_sum, 1.0, total)
