"""A Gramian taken apart into norms and cosines, so that tasks of very different size can be solved together.

An inner product of two gradients is accurate to machine precision times both norms. The cosines therefore keep all
that is known, while the Gramian of norms 1e-6 and 1e6 is singular to a solver. All work is in float64 where the device
has it; what is noise is decided by the precision of the Gramian that came in.
Shapes: K tasks.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mtl.functional.on_host import on_host


class Gram(NamedTuple):
    """Norms and cosines of the task gradients.

    Attributes:
        cosines_KK: cosine of every pair, positive semi-definite; a zero gradient is orthogonal to all others.
        norms_K: Euclidean norms; 1 where the gradient is zero.
        zero_K: which gradients are zero.
        values_K: eigenvalues of the cosines, rising; exactly 0 where they are below the noise.
        vectors_KK: their eigenvectors, as columns.
        noise: eigenvalues up to this are not told from 0.
    """

    cosines_KK: Tensor
    norms_K: Tensor
    zero_K: Tensor
    values_K: Tensor
    vectors_KK: Tensor
    noise: float

    def vanishes(self, weights_K: Tensor) -> Tensor:
        """Whether the weighted sum of the gradients is 0 to working precision, bool scalar.

        Args:
            weights_K: weights of the gradients.
        """
        scaled_K = torch.where(self.zero_K, 0.0, weights_K * self.norms_K)
        return scaled_K @ (self.cosines_KK @ scaled_K) <= 10 * self.noise * scaled_K.square().sum()

    def singular(self) -> Tensor:
        """Whether the gradients are linearly dependent, bool scalar; so is a zero gradient."""
        return (self.values_K <= 0).any() | self.zero_K.any()

    def equal_projections(self) -> Tensor:
        """Factors of the unit gradients whose sum has the projection 1 on each of them, [K]; 0 for zero gradients.

        Where they are linearly dependent, by the pseudo-inverse.
        """
        inverse_K = torch.where(self.values_K > 0, 1 / torch.where(self.values_K > 0, self.values_K, 1.0), 0.0)
        factors_K = self.vectors_KK @ (inverse_K * self.vectors_KK.sum(0))
        return torch.where(self.zero_K, 0.0, factors_K)


@on_host
def decompose(gramian_KK: Tensor) -> Gram:
    """Norms and cosines of a Gramian, and the spectrum of the cosines.

    Args:
        gramian_KK: inner products of the task gradients, symmetric.
    """
    eps = torch.finfo(gramian_KK.dtype).eps
    tiny = torch.finfo(gramian_KK.dtype).tiny
    work = widest(gramian_KK)
    diagonal_K = work.diagonal()
    zero_K = diagonal_K < tiny
    norms_K = torch.where(zero_K, 1.0, diagonal_K).sqrt()
    some_K = (~zero_K).to(work.dtype)
    cosines_KK = (work + work.T) / 2 * torch.outer(some_K / norms_K, some_K / norms_K)
    cosines_KK = cosines_KK.clamp(-1, 1)
    cosines_KK.diagonal().fill_(1.0)
    values_K, vectors_KK = torch.linalg.eigh(cosines_KK)
    noise = len(work) * eps * 2
    # rounding leaves eigenvalues a little below 0, where a minimum does not exist; up to the noise they are 0
    values_K = torch.where(values_K > noise * values_K[-1], values_K, 0.0)
    return Gram((vectors_KK * values_K) @ vectors_KK.T, norms_K, zero_K, values_K, vectors_KK, noise)


def widest(tensor: Tensor) -> Tensor:
    """The tensor in float64, or in float32 on a device without it."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)
