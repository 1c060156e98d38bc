"""Split a Gramian into norms and cosines, so that solvers can handle gradients of very different norms.

An inner product of two gradients is accurate to machine precision times both norms, so the cosines lose no information,
while a Gramian of norms 1e-6 and 1e6 is numerically singular. Computation is in float64 if the device supports it; the
noise threshold depends on the dtype of the given Gramian.
Shapes: K tasks.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mtl.functional.on_host import on_host

TOLERANCE = 1e-4  # of the optimality conditions, in float64; see `mtl.functional.solvers.optimality`


class Gram(NamedTuple):
    """Norms and cosines of the task gradients.

    Attributes:
        cosines_KK: cosine of each pair, positive semi-definite, [K,K]; a zero gradient is orthogonal to all others.
        norms_K: Euclidean norms, [K]; 1 for a zero gradient.
        zero_K: which gradients are zero, bool [K].
        values_K: eigenvalues of the cosines, ascending, [K]; exactly 0 if below the noise.
        vectors_KK: their eigenvectors, as columns, [K,K].
        noise: eigenvalues up to this share of the largest count as 0.
        given_KK: cosines before the noise was removed, [K,K].
        tolerance: error of the optimality conditions up to which weights count as solved.
    """

    cosines_KK: Tensor
    norms_K: Tensor
    zero_K: Tensor
    values_K: Tensor
    vectors_KK: Tensor
    noise: float
    given_KK: Tensor
    tolerance: float

    @property
    def rounding_share(self) -> float:
        """Rounding error of an inner product of sums of gradients, relative to the product of the sums of norms."""
        return self.noise / 2

    def scaled(self, weights: Tensor) -> Tensor:
        """Weights times norms: the weights of the unit gradients; 0 for a zero gradient.

        Args:
            weights: weights of the gradients, [...,K].
        """
        return torch.where(self.zero_K, 0.0, weights * self.norms_K)

    def rounding(self, scaled_K: Tensor) -> Tensor:
        """Rounding error of the squared norm of a sum of unit gradients.

        Args:
            scaled_K: weights of the unit gradients, [K].
        """
        return self.rounding_share * scaled_K.abs().sum().square()

    def vanishes(self, weights_K: Tensor) -> Tensor:
        """Whether the weighted sum of the gradients is 0 to working precision, bool scalar.

        Args:
            weights_K: weights of the gradients.
        """
        scaled_K = self.scaled(weights_K)
        return scaled_K @ (self.cosines_KK @ scaled_K) <= 10 * self.noise * scaled_K.square().sum()

    def singular(self) -> Tensor:
        """Whether the gradients are linearly dependent, bool scalar; true if any gradient is zero."""
        return (self.values_K <= 0).any() | self.zero_K.any()

    def equal_projections(self) -> Tensor:
        """Factors of the unit gradients such that their sum has projection 1 on each, [K]; 0 for zero gradients.

        Uses the pseudo-inverse if the gradients are linearly dependent.
        """
        inverse_K = torch.where(self.values_K > 0, 1 / torch.where(self.values_K > 0, self.values_K, 1.0), 0.0)
        factors_K = self.vectors_KK @ (inverse_K * self.vectors_KK.sum(0))
        return torch.where(self.zero_K, 0.0, factors_K)


@on_host
def decompose(gramian_KK: Tensor) -> Gram:
    """Norms and cosines of a Gramian, and the spectrum of the cosines.

    Args:
        gramian_KK: inner products of the task gradients, symmetric, [K,K].
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
    given_KK = cosines_KK
    values_K, vectors_KK = torch.linalg.eigh(cosines_KK)
    tolerance = max(TOLERANCE, 1e4 * eps)
    noise = len(work) * eps * 2
    # rounding makes some eigenvalues slightly negative, so that no minimum exists; set all below the noise to 0
    values_K = torch.where(values_K > noise * values_K[-1], values_K, 0.0)
    clean_KK = (vectors_KK * values_K) @ vectors_KK.T
    return Gram(clean_KK, norms_K, zero_K, values_K, vectors_KK, noise, given_KK, tolerance)


def widest(tensor: Tensor) -> Tensor:
    """Convert a tensor to float64, or to float32 on a device without float64."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)
