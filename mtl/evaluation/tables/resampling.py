"""Metrics under many sets of weights at once: the bootstrap of a test set, whole patients at a time.

Shapes: N samples, C classes, R resamples, U units that are drawn together.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mtl.functional.calibration import brier_score_of_classes, calibration_error, certainty
from mtl.functional.ranking_scores import auroc, average_precision, sensitivity_at_specificity
from mtl.metrics.ordinal import quadratic_kappa
from mtl.metrics.task_metrics import Predictions

RESAMPLES = 1000
_SENSITIVITY = re.compile(r"sensitivity_at_([\d.]+)_specificity")
Statistic = Callable[[Predictions, Tensor, Tensor], Tensor]  # predictions, targets [N], weights [R,N] -> [R]


def draw_weights(units_N: Sequence[Hashable], resamples: int = RESAMPLES, seed: int = 0) -> Tensor:
    """How often each sample is drawn, float64 [R,N]: units are drawn with replacement, with all their samples.

    Args:
        units_N: unit of each sample, such as the patient; samples of one unit are not independent.
        resamples: R.
        seed: of the draws.
    """
    place = {unit: index for index, unit in enumerate(dict.fromkeys(units_N))}
    number = len(place)
    counts_RU = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=resamples)
    return torch.from_numpy(counts_RU[:, [place[unit] for unit in units_N]].astype(np.float64))


def percentiles(values_R: Tensor, level: float = 0.95) -> tuple[float, float]:
    """The interval that holds the middle share of the values; NaN where no resample has a value.

    Args:
        values_R: a metric of every resample; NaN is left out.
        level: share within, 0 to 1.
    """
    known_R = values_R[values_R.isfinite()]
    if not len(known_R):
        return float("nan"), float("nan")
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=known_R.dtype)
    low, high = known_R.quantile(tails).tolist()
    return low, high


def _of_classes(score: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Statistic:
    """Of the second of two classes, or the mean over the classes that occur."""

    def statistic(predictions: Predictions, target_N: Tensor, weights_RN: Tensor) -> Tensor:
        scores_NC = predictions["probabilities"]
        classes = [1] if scores_NC.shape[1] == 2 else torch.unique(target_N).tolist()
        each = torch.stack([score(scores_NC[:, c], target_N == c, weights_RN) for c in classes])
        return each.nanmean(0)

    return statistic


def _mean(error: Callable[[Predictions, Tensor], Tensor]) -> Statistic:
    def statistic(predictions: Predictions, target_N: Tensor, weights_RN: Tensor) -> Tensor:
        return (weights_RN * error(predictions, target_N).double()).sum(1) / weights_RN.sum(1)

    return statistic


def _confusion(predictions: Predictions, target_N: Tensor, weights_RN: Tensor) -> Tensor:
    labels_N = predictions["labels"]
    classes = int(max(labels_N.max(), target_N.max())) + 1
    empty = weights_RN.new_zeros(len(weights_RN), classes**2)
    return empty.index_add(1, target_N * classes + labels_N, weights_RN).view(-1, classes, classes)


def _balanced_accuracy(predictions: Predictions, target_N: Tensor, weights_RN: Tensor) -> Tensor:
    confusion_RCC = _confusion(predictions, target_N, weights_RN)
    return (confusion_RCC.diagonal(dim1=1, dim2=2) / confusion_RCC.sum(2)).nanmean(1)


def _r2(predictions: Predictions, target_N: Tensor, weights_RN: Tensor) -> Tensor:
    target_N = target_N.double()
    mean_R1 = (weights_RN * target_N).sum(1, keepdim=True) / weights_RN.sum(1, keepdim=True)
    left_R = (weights_RN * (predictions["values"].double() - target_N).square()).sum(1)
    return 1 - left_R / (weights_RN * (target_N - mean_R1).square()).sum(1)


def statistic_of(metric: str) -> Statistic | None:
    """What computes a metric under weights; None for a metric that nothing here does.

    Args:
        metric: name of the metric, as the test logs it.
    """
    if found := _SENSITIVITY.fullmatch(metric):
        specificity = float(found[1]) / 100

        def statistic(predictions: Predictions, target_N: Tensor, weights_RN: Tensor) -> Tensor:
            scores_N = predictions["probabilities"][:, 1]
            return sensitivity_at_specificity(scores_N, target_N == 1, specificity, weights_RN)

        return statistic
    return STATISTICS.get(metric)


STATISTICS: Mapping[str, Statistic] = {
    "auroc": _of_classes(auroc),
    "auprc": _of_classes(average_precision),
    "brier": lambda predictions, *rest: brier_score_of_classes(predictions["probabilities"], *rest),
    "calibration_error": lambda predictions, target_N, weights_RN: calibration_error(
        *certainty(predictions["probabilities"], target_N), weights_RN=weights_RN
    ),
    "accuracy": _mean(lambda predictions, target_N: predictions["labels"] == target_N),
    "balanced_accuracy": _balanced_accuracy,
    "qwk": lambda predictions, target_N, weights_RN: quadratic_kappa(_confusion(predictions, target_N, weights_RN)),
    "mae": _mean(lambda predictions, target_N: (predictions["values"] - target_N).abs()),
    "r2": _r2,
}
