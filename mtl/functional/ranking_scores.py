"""How well a score separates two classes: AUROC, average precision, sensitivity at a fixed specificity.

Weights of the samples, several sets at once, make a bootstrap one call: a resample is how often each sample was drawn.
Source of the area as a probability: Hanley, McNeil, "The Meaning and Use of the Area under a ROC Curve", 1982.
Shapes: N samples, R sets of weights, G different scores.
"""

import torch
from torch import Tensor


def auroc(scores_N: Tensor, labels_N: Tensor, weights_RN: Tensor | None = None) -> Tensor:
    """The probability that a positive sample has the higher score, ties counted as half.

    Args:
        scores_N: the scores.
        labels_N: whether each sample is positive, bool or 0 and 1.
        weights_RN: sets of weights; each sample once by default.

    Returns:
        One number for each set, [R], or a scalar without weights; NaN where a class is missing.
    """
    positive_RG, negative_RG = _by_score(scores_N, labels_N, weights_RN)
    below_RG = negative_RG.flip(1).cumsum(1).flip(1) - negative_RG
    pairs_R = positive_RG.sum(1) * negative_RG.sum(1)
    return _shaped((positive_RG * (below_RG + negative_RG / 2)).sum(1) / pairs_R, weights_RN)


def average_precision(scores_N: Tensor, labels_N: Tensor, weights_RN: Tensor | None = None) -> Tensor:
    """The mean precision over the positive samples in the order of the scores, the area under their curve (AUPRC).

    Args:
        scores_N: the scores.
        labels_N: whether each sample is positive, bool or 0 and 1.
        weights_RN: sets of weights; each sample once by default.

    Returns:
        One number for each set, [R], or a scalar without weights; NaN without a positive sample.
    """
    positive_RG, negative_RG = _by_score(scores_N, labels_N, weights_RN)
    hits_RG = positive_RG.cumsum(1)
    # no sample of a set has the highest scores: nothing is added there
    precision_RG = hits_RG / (hits_RG + negative_RG.cumsum(1)).clamp(min=1e-300)
    return _shaped((positive_RG * precision_RG).sum(1) / positive_RG.sum(1), weights_RN)


def sensitivity_at_specificity(
    scores_N: Tensor, labels_N: Tensor, specificity: float, weights_RN: Tensor | None = None
) -> Tensor:
    """The largest share of positive samples found by a threshold that keeps the specificity.

    Args:
        scores_N: the scores.
        labels_N: whether each sample is positive, bool or 0 and 1.
        specificity: share of negative samples that must stay below the threshold, 0 to 1.
        weights_RN: sets of weights; each sample once by default.

    Returns:
        One number for each set, [R], or a scalar without weights; NaN where a class is missing.
    """
    positive_RG, negative_RG = _by_score(scores_N, labels_N, weights_RN)
    found_RG = positive_RG.cumsum(1) / positive_RG.sum(1, keepdim=True)
    alarms_RG = negative_RG.cumsum(1) / negative_RG.sum(1, keepdim=True)
    # 0.1 is not 1 - 0.9 in floating point
    allowed_RG = alarms_RG <= 1 - specificity + 1e-12
    best_R = torch.where(allowed_RG, found_RG, 0.0).amax(1)
    known_R = (positive_RG.sum(1) > 0) & (negative_RG.sum(1) > 0)
    return _shaped(torch.where(known_R, best_R, torch.nan), weights_RN)


def youden_threshold(scores_N: Tensor, labels_N: Tensor) -> float:
    """The threshold with the largest sum of sensitivity and specificity, halfway to the next score below.

    Source: Youden, "Index for Rating Diagnostic Tests", 1950.

    Args:
        scores_N: the scores; a sample is called positive from the threshold on.
        labels_N: whether each sample is positive, bool or 0 and 1.

    Raises:
        ValueError: if a class is missing.
    """
    positive_RG, negative_RG = _by_score(scores_N, labels_N, None)
    positive_G, negative_G = positive_RG[0], negative_RG[0]
    if not positive_G.sum() or not negative_G.sum():
        raise ValueError("a threshold needs samples of both classes; one is missing among the labels.")
    gain_G = positive_G.cumsum(0) / positive_G.sum() - negative_G.cumsum(0) / negative_G.sum()
    best = int(gain_G.argmax())
    distinct = torch.unique(scores_N.double()).flip(0)
    return float(distinct[best : best + 2].mean())


def _by_score(scores_N: Tensor, labels_N: Tensor, weights_RN: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weight of the positive and of the negative samples of every score, highest first, float64 [R,G]."""
    distinct_G, place_N = torch.unique(-scores_N.double(), return_inverse=True)
    weights_RN = torch.ones(1, len(scores_N)) if weights_RN is None else weights_RN
    weights_RN = weights_RN.to(scores_N.device, torch.float64)
    empty_RG = weights_RN.new_zeros(len(weights_RN), len(distinct_G))
    positive_N = labels_N.to(torch.float64)
    return (
        empty_RG.index_add(1, place_N, weights_RN * positive_N),
        empty_RG.index_add(1, place_N, weights_RN * (1 - positive_N)),
    )


def _shaped(values_R: Tensor, weights_RN: Tensor | None) -> Tensor:
    return values_R[0] if weights_RN is None else values_R
