"""Intervals, paired tests and their correction."""

import math

import numpy as np
import pytest

from mtl.evaluation.tables.intervals import Draws, holm, interval, paired_p


def of_means(*sets: list[float]) -> tuple[float, float] | None:
    """Interval of the first set's mean less those of the others."""
    arrays = [np.asarray(values) for values in sets]

    def difference(first: Draws, *others: Draws) -> Draws:
        means = [values[places].mean(-1) for values, places in zip(arrays, (first, *others), strict=True)]
        return means[0] - sum(means[1:])

    return interval(difference, [len(values) for values in sets])


def test_an_interval_holds_the_mean_and_is_within_the_values() -> None:
    values = [0.70, 0.72, 0.71, 0.75, 0.69]
    found = of_means(values)
    assert found is not None
    assert min(values) <= found[0] < sum(values) / 5 < found[1] <= max(values)
    assert found == of_means(values)


def test_sets_are_drawn_apart_so_that_variances_add() -> None:
    values = [float(value) for value in np.random.default_rng(0).normal(size=200)]
    alone, both = of_means(values), of_means(values, values)
    assert alone is not None
    assert both is not None
    assert (both[1] - both[0]) / (alone[1] - alone[0]) == pytest.approx(math.sqrt(2), rel=0.1)
    # 1.96 standard errors to each side
    assert alone[1] - alone[0] == pytest.approx(2 * 1.96 * np.std(values) / math.sqrt(200), rel=0.1)


def test_two_values_have_no_interval_and_equal_ones_no_width() -> None:
    assert of_means([0.1, 0.2]) is None
    assert of_means([0.1, 0.2, 0.3], [0.1, 0.2]) is None
    assert of_means([0.5, 0.5, 0.5]) == (0.5, 0.5)


def test_a_paired_test_by_hand() -> None:
    # differences 1, 2, 3: t = 2 / (1 / sqrt 3); with 2 degrees of freedom p = 1 - t / sqrt(t^2 + 2)
    t = 2 * math.sqrt(3)
    assert paired_p([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == pytest.approx(1 - t / math.sqrt(t**2 + 2))


def test_equal_runs_are_not_different_and_one_pair_says_nothing() -> None:
    assert paired_p([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert math.isnan(paired_p([0.7, 0.8], [0.6, 0.7])), "equal differences, but for rounding"
    assert paired_p([0.7, 0.8], [0.6, 0.69]) > 0.01
    assert math.isnan(paired_p([1.0], [2.0]))
    assert math.isnan(paired_p([1.0, 2.0], [1.0]))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, math.nan])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert math.isnan(holm([0.01, math.nan])[1])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
