"""Similarity of task gradients, from their Gramian: cosine and magnitude similarity of each pair.

Source: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, definitions 1 to 3.
Shapes: K tasks.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Similarity(NamedTuple):
    """Norms of the task gradients, and the similarity of each pair.

    Attributes:
        norms_K: Euclidean norms of the gradients, [K].
        cosines_KK: cosine of each pair, [K,K]; below 0 the two conflict. NaN if a gradient is zero or not finite.
        magnitudes_KK: 2 a b / (a^2 + b^2) of the norms a and b, [K,K]: 1 if equal, near 0 if one is much larger. NaN in
            the same places.
    """

    norms_K: Tensor
    cosines_KK: Tensor
    magnitudes_KK: Tensor


def gradient_similarity(gramian_KK: Tensor) -> Similarity:
    """Norms, cosines and magnitude similarities of the task gradients.

    Args:
        gramian_KK: inner products of the task gradients, [K,K].
    """
    norms_K = gramian_KK.diagonal().clamp_min(0).sqrt()
    known_K = (norms_K > 0) & norms_K.isfinite()
    safe_K = torch.where(known_K, norms_K, 1.0)
    known_KK = known_K[:, None] & known_K & gramian_KK.isfinite()
    # divide twice: the product of two extreme norms can over- or underflow
    cosines_KK = (gramian_KK / safe_K[:, None] / safe_K).clamp(-1, 1)
    ratio_KK = torch.minimum(safe_K[:, None], safe_K) / torch.maximum(safe_K[:, None], safe_K)
    magnitudes_KK = 2 * ratio_KK / (1 + ratio_KK.square())
    return Similarity(
        norms_K, torch.where(known_KK, cosines_KK, torch.nan), torch.where(known_KK, magnitudes_KK, torch.nan)
    )
