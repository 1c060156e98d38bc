"""The uncertainty of a mean over few seeds: bootstrap intervals, paired tests, and their correction for many rows."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap, ttest_rel

Draws = np.ndarray[Any, np.dtype[Any]]
RESAMPLES = 4000


def interval(
    statistic: Callable[..., Draws], sizes: Sequence[int], level: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of a number that comes from one or more independent sets of seeds.

    `None` if a set has fewer than 3. With 3 seeds it can only be as wide as their values: read it as their range.

    Args:
        statistic: gets the drawn places in each set, [draws, size]; returns the number for every draw, [draws].
        sizes: number of seeds in each set.
        level: of confidence.
        seed: of the resampling.
    """
    if min(sizes) < 3:
        return None
    options = {"confidence_level": level, "method": "percentile", "n_resamples": RESAMPLES, "vectorized": True}
    places = [np.arange(size) for size in sizes]
    found = bootstrap(places, lambda *drawn, axis: statistic(*drawn), rng=np.random.default_rng(seed), **options)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def paired_p(values: Sequence[float], others: Sequence[float]) -> float:
    """Two-sided p of a paired t-test over seeds: same seed, same data, same order.

    NaN below 2 pairs, and where all differences are the same but not 0 (1 if they are 0): a metric of few steps, such
    as the accuracy of 60 pictures, then says nothing about the spread that the test compares with.

    Args:
        values: one for each seed.
        others: of the row to compare with, in the same order.
    """
    if len(values) < 2 or len(values) != len(others):
        return math.nan
    differences = [value - other for value, other in zip(values, others, strict=True)]
    rounding = 1e-12 * max(map(abs, (*values, *others)))
    if max(differences) - min(differences) <= rounding:
        return 1.0 if abs(differences[0]) <= rounding else math.nan
    return float(ttest_rel(values, others).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Args:
        p_values: uncorrected; NaN stays NaN and does not count.
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    highest = 0.0
    for place, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p))
        corrected[index] = highest
    return corrected
