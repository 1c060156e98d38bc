"""How far weights are from the optimality conditions of their problem, measured on the Gramian as it was given.

A solver works on cosines without noise; these functions do not, so they also see what the solver could not. Each error
has two parts: the violated condition, relative to what the method returns, and the rounding error of the Gramian, which
grows where long gradients cancel to a short update. `Gram.tolerance` is the limit: 1e-4 in float64, where the update is
within about 1 % of the exact one.
Shapes: B vectors, K tasks.
"""

import torch
from torch import Tensor

from mtl.functional.gramian import Gram


def min_norm_error(gram: Gram, weights_K: Tensor) -> Tensor:
    """Error of the shortest vector u of the hull: max over tasks k of 1 - g_k u / |u|^2, at most 0 at the solution.

    The squared distance to the solution, relative to |u|^2, is at most this number.

    Args:
        gram: norms and cosines.
        weights_K: weights on the simplex, [K].
    """
    x_K = gram.scaled(weights_K)
    image_K = gram.given_KK @ x_K
    squared = (x_K @ image_K).clamp(min=0)
    projections_K = torch.where(gram.zero_K, 0.0, gram.norms_K * image_K)
    return _share((squared - projections_K).max(), squared) + _share(gram.rounding(x_K), squared)


def conflict_averse_error(gram: Gram, added_K: Tensor, c: float) -> Tensor:
    """Error of a CAGrad update d = g_0 + sum of w_k g_k: the duality gap of `max of min_k g_k d`, over c |g_0| |g_w|.

    The squared distance to the solution, relative to (c |g_0|)^2, is at most twice this number.

    Args:
        gram: norms and cosines.
        added_K: the weights w, at least 0, so that |sum of w_k g_k| = c |g_0|, [K].
        c: radius of the ball relative to the mean gradient.
    """
    mean_K = gram.scaled(torch.full_like(added_K, 1 / len(added_K)))
    total = added_K.sum()
    hull_K = gram.scaled(added_K / torch.where(total > 0, total, 1.0))
    image_K = gram.given_KK @ (mean_K + gram.scaled(added_K))
    worst = torch.where(gram.zero_K, 0.0, gram.norms_K * image_K).min()
    mean, hull = (x_K @ gram.given_KK @ x_K for x_K in (mean_K, hull_K))
    length = (mean * hull).clamp(min=0).sqrt()
    gap = hull_K @ gram.given_KK @ mean_K + c * length - worst
    radius = (gram.scaled(added_K) @ gram.given_KK @ gram.scaled(added_K)).clamp(min=0).sqrt()
    off_ball = (radius / (c * mean.clamp(min=0).sqrt()) - 1).abs()
    noise = _share(gram.rounding(mean_K), mean) + _share(gram.rounding(hull_K), hull)
    return (torch.maximum(_share(gap, c * length), off_ball) + noise).nan_to_num(torch.inf)


def dual_cone_error(gram: Gram, weights_BK: Tensor, projected_BK: Tensor) -> Tensor:
    """Error of projections onto the dual cone: squared distance to the solutions, relative to their squared sum.

    The conditions of each are v >= u, G v >= 0 and (v - u) G v = 0.

    Args:
        gram: norms and cosines.
        weights_BK: the weights u of the vectors that were projected, [B,K].
        projected_BK: the weights v of their projections, [B,K].
    """
    x_BK = gram.scaled(projected_BK)
    more_BK = x_BK - gram.scaled(weights_BK)
    image_BK = x_BK @ gram.given_KK
    sizes_B = x_BK.abs().sum(1)
    conflict_B = (-image_BK).clamp(min=0).amax(1) * sizes_B
    gap_B = (more_BK * image_BK).clamp(min=0).sum(1)
    below_B = (-more_BK).clamp(min=0).sum(1).square()
    total_K = x_BK.sum(0)
    noise = (sizes_B.square() * gram.rounding_share).sum()
    return _share((conflict_B + gap_B + below_B).sum() + noise, total_K @ gram.given_KK @ total_K)


def power_error(gram: Gram, weights_K: Tensor, power: float, preference_K: Tensor | None = None) -> Tensor:
    """Error of G w = (s / w)^p: the largest relative difference of the two sides over the tasks with a gradient.

    Args:
        gram: norms and cosines.
        weights_K: w, above 0 where there is a gradient, [K].
        power: p.
        preference_K: s, [K]; ones by default.
    """
    x_K = gram.scaled(weights_K)
    image_K = gram.given_KK @ x_K
    right_K = (weights_K if preference_K is None else weights_K / preference_K.to(weights_K)) ** -power
    ratio_K = gram.norms_K * image_K / right_K
    noise_K = gram.rounding_share * x_K.abs().sum() / image_K.abs()
    return torch.where(gram.zero_K, 0.0, (ratio_K - 1).abs() + noise_K).nan_to_num(torch.inf).max()


def equal_projections_error(gram: Gram, factors_K: Tensor) -> Tensor:
    """Error of a sum of unit gradients with projection 1 on each: the largest deviation, and the error of the factors.

    Args:
        gram: norms and cosines.
        factors_K: factors of the unit gradients, [K].
    """
    deviation_K = torch.where(gram.zero_K, 0.0, gram.given_KK @ factors_K - 1).abs()
    return deviation_K.max() + inverse_error(gram)


def inverse_error(gram: Gram) -> Tensor:
    """Relative error of the inverse of the cosines: their rounding error over their smallest eigenvalue.

    Args:
        gram: norms and cosines.
    """
    return gram.rounding_share / gram.values_K[0]


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole; infinite if the whole is not above 0 and the part is."""
    positive = whole > 0
    return torch.where(positive, part / torch.where(positive, whole, 1.0), torch.where(part > 0, torch.inf, 0.0))
