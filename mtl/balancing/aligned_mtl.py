"""Aligned-MTL: make the task gradients orthogonal and equally long while changing them least.

Source: Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023, arXiv:2305.19000,
algorithm 1.
Shapes: K tasks.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientWeighting
from mtl.balancing.upgrad import check_preferences, preferences_of
from mtl.functional.gramian import decompose
from mtl.functional.on_host import on_host
from mtl.functional.solvers.optimality import inverse_error


class AlignedMTL(GradientWeighting):
    """Weights w = s V L^(-1/2) V' p, with G = V L V' the spectrum of the Gramian, p the preferences and s a scale.

    As in the paper, eigenvalues below K eps times the largest are dropped. eps depends on the dtype, so float32 and
    float64 can drop different directions when norms are very unequal. LibMTL uses p = 1, which gives K times the
    weights here and in TorchJD.

        weights = AlignedMTL()(gramian, losses)

    Args:
        scale_mode: s is the square root of the smallest kept eigenvalue (`min`, as in the paper), the median (`median`)
            or the mean (`rmse`); the authors added the last two later.
        preferences: weight of each task; 1 / K by default.
    """

    paper = "Senushkin et al., Independent Component Alignment for Multi-Task Learning, CVPR 2023"
    scaling = "common"

    def __init__(
        self, scale_mode: Literal["min", "median", "rmse"] = "min", preferences: list[float] | None = None
    ) -> None:
        super().__init__()
        self.scale_mode = scale_mode
        self.preferences = None if preferences is None else check_preferences(preferences)

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        norms_K = torch.where(gram.zero_K, 0.0, gram.norms_K)
        # G = F F' with F = norms * root of the cosines: singular values of F have twice the digits of G's eigenvalues
        factor_KK = norms_K[:, None] * gram.vectors_KK * gram.values_K.sqrt()
        vectors_KK, roots_K, _ = on_host(torch.linalg.svd)(factor_KK)
        eps = torch.finfo(gramian_KK.dtype).eps
        kept_K = roots_K.square() > len(roots_K) * eps * roots_K[0].square()
        preferences_K = preferences_of(self.preferences, index_K, norms_K)
        inverse_K = torch.where(kept_K, 1 / torch.where(kept_K, roots_K, 1.0), 0.0)
        self.report(singular=~kept_K.all(), inexact=inverse_error(gram) > gram.tolerance)
        weights_K: Tensor = (vectors_KK * inverse_K) @ (vectors_KK.T @ preferences_K)
        return self._scale(roots_K, kept_K) * weights_K

    def _scale(self, roots_K: Tensor, kept_K: Tensor) -> Tensor:
        if self.scale_mode == "min":
            return torch.where(kept_K, roots_K, roots_K[0]).min()
        if self.scale_mode == "median":
            return torch.where(kept_K, roots_K, torch.nan).nanmedian().nan_to_num(0.0)
        return (torch.where(kept_K, roots_K, 0.0).square().sum() / kept_K.sum().clamp(min=1)).sqrt()
