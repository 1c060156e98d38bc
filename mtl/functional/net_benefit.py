"""Net benefit: what acting on a prediction gains, for people who weigh a missed case against a false alarm.

Source: Vickers, Elkin, "Decision Curve Analysis", Medical Decision Making 2006.
Shapes: N samples, T thresholds.
"""

import torch
from torch import Tensor


def net_benefit(probabilities_N: Tensor, labels_N: Tensor, thresholds_T: Tensor) -> Tensor:
    """True positives minus weighed false positives, per sample, [T]; samples at the threshold or above are treated.

    A false positive weighs t / (1 - t): who treats from a probability of 0.2 on accepts four false alarms for one case.

    Args:
        probabilities_N: probability of the positive class.
        labels_N: whether each sample is positive.
        thresholds_T: probabilities from which on one would act, at least 0 and below 1.

    Raises:
        ValueError: for a threshold outside.
    """
    if not ((thresholds_T >= 0) & (thresholds_T < 1)).all():
        raise ValueError(f"net benefit: thresholds {thresholds_T.tolist()} must be at least 0 and below 1.")
    thresholds_T = thresholds_T.double()
    treated_TN = probabilities_N.double() >= thresholds_T[:, None]
    positive_N = labels_N.bool()
    true_T = (treated_TN & positive_N).double().mean(1)
    false_T = (treated_TN & ~positive_N).double().mean(1)
    return true_T - false_T * thresholds_T / (1 - thresholds_T)


def net_benefit_of_all(labels_N: Tensor, thresholds_T: Tensor) -> Tensor:
    """The net benefit of acting on everybody, [T]; acting on nobody has 0.

    Args:
        labels_N: whether each sample is positive.
        thresholds_T: as for `net_benefit`.
    """
    return net_benefit(torch.ones(len(labels_N)), labels_N, thresholds_T)
