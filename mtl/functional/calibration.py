"""Whether probabilities can be believed: Brier score, calibration error, bins of a reliability picture, temperature.

Sources: Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950; Naeini, Cooper, Hauskrecht,
"Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015 (expected calibration error); Guo, Pleiss,
Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017 (temperature).
Shapes: N samples, C classes, K bins, R sets of weights.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

NUM_BINS = 15


class Bins(NamedTuple):
    """Bins of equal width over 0..1, [R,K] each, or [K].

    Args:
        weight: share of the samples in each bin.
        predicted: mean probability there; 0 where the bin is empty.
        observed: share of positive samples there; 0 where the bin is empty.
    """

    weight: Tensor
    predicted: Tensor
    observed: Tensor


def brier_score(probabilities_N: Tensor, labels_N: Tensor, weights_RN: Tensor | None = None) -> Tensor:
    """Mean squared difference of probability and outcome.

    Args:
        probabilities_N: probability of the positive class.
        labels_N: whether each sample is positive, bool or 0 and 1.
        weights_RN: sets of weights; each sample once by default.

    Returns:
        One number for each set, [R], or a scalar without weights.
    """
    square_N = (probabilities_N.double() - labels_N.double()).square()
    if weights_RN is None:
        return square_N.mean()
    return (weights_RN.double() * square_N).sum(1) / weights_RN.double().sum(1)


def brier_score_of_classes(probabilities_NC: Tensor, labels_N: Tensor, weights_RN: Tensor | None = None) -> Tensor:
    """Of two classes the Brier score of the second one (0 to 1); of more the sum over all classes (0 to 2), as Brier's.

    Args:
        probabilities_NC: probability of each class.
        labels_N: class of each sample.
        weights_RN: sets of weights; each sample once by default.
    """
    classes = [1] if probabilities_NC.shape[1] == 2 else range(probabilities_NC.shape[1])
    return torch.stack([brier_score(probabilities_NC[:, c], labels_N == c, weights_RN) for c in classes]).sum(0)


def certainty(probabilities_NC: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """What a calibration error is about: a probability of each sample, and whether it came true.

    Of two classes it is the second one, of more the likeliest.

    Args:
        probabilities_NC: probability of each class.
        labels_N: class of each sample.
    """
    if probabilities_NC.shape[1] == 2:
        return probabilities_NC[:, 1], labels_N == 1
    highest_N, label_N = probabilities_NC.max(1)
    return highest_N, label_N == labels_N


def reliability_bins(
    probabilities_N: Tensor, labels_N: Tensor, num_bins: int = NUM_BINS, weights_RN: Tensor | None = None
) -> Bins:
    """Mean probability and share of positive samples in bins of equal width.

    Args:
        probabilities_N: probability of the positive class.
        labels_N: whether each sample is positive, bool or 0 and 1.
        num_bins: K.
        weights_RN: sets of weights; each sample once by default.
    """
    one = weights_RN is None
    weights_RN = torch.ones(1, len(probabilities_N)) if weights_RN is None else weights_RN
    weights_RN = weights_RN.to(probabilities_N.device, torch.float64)
    # a probability at an edge belongs to the bin above it, as in torchmetrics; 1 belongs to the last
    edges = torch.linspace(0, 1, num_bins + 1, dtype=probabilities_N.dtype, device=probabilities_N.device)
    place_N = (torch.bucketize(probabilities_N.contiguous(), edges, right=True) - 1).clamp(0, num_bins - 1)
    empty_RK = weights_RN.new_zeros(len(weights_RN), num_bins)
    weight_RK = empty_RK.index_add(1, place_N, weights_RN)
    safe_RK = weight_RK.clamp(min=1e-300)
    predicted_RK = empty_RK.index_add(1, place_N, weights_RN * probabilities_N.double()) / safe_RK
    observed_RK = empty_RK.index_add(1, place_N, weights_RN * labels_N.double()) / safe_RK
    found = Bins(weight_RK / weight_RK.sum(1, keepdim=True), predicted_RK, observed_RK)
    return Bins(*(value[0] for value in found)) if one else found


def calibration_error(
    probabilities_N: Tensor, labels_N: Tensor, num_bins: int = NUM_BINS, weights_RN: Tensor | None = None
) -> Tensor:
    """Expected calibration error: the mean distance of probability and outcome over the bins.

    Args:
        probabilities_N: probability of the positive class.
        labels_N: whether each sample is positive, bool or 0 and 1.
        num_bins: K.
        weights_RN: sets of weights; each sample once by default.

    Returns:
        One number for each set, [R], or a scalar without weights.
    """
    bins = reliability_bins(probabilities_N, labels_N, num_bins, weights_RN)
    return (bins.weight * (bins.predicted - bins.observed).abs()).sum(-1)


def fit_temperature(logits_NC: Tensor, labels_N: Tensor, most: float = 5.0) -> float:
    """The number that logits are divided by for the smallest cross-entropy; their order stays.

    The cross-entropy is convex in 1 / temperature, so that its derivative is bisected.

    Args:
        logits_NC: logits, or log-probabilities.
        labels_N: class of each sample.
        most: largest temperature, above 1; the smallest is 1 / `most`, or few samples that are all right would ask
            for probabilities of 0 and 1.
    """
    logits_NC = logits_NC.double()
    own_N = logits_NC.gather(1, labels_N.long()[:, None])[:, 0]
    low, high = 1 / most, most
    for _ in range(60):
        middle = math.sqrt(low * high)
        slope = ((logits_NC * middle).softmax(-1) * logits_NC).sum(1) - own_N
        low, high = (middle, high) if slope.mean() < 0 else (low, middle)
    return float(1 / math.sqrt(low * high))
