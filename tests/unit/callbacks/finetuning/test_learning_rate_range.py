"""The learning-rate range test: on a parabola whose best rate is known, and in a run."""

import csv
import logging
import math
from itertools import pairwise
from pathlib import Path

import pytest

from mtl.callbacks.finetuning.learning_rate_range import LearningRateRange, smoothed, steepest
from tests.contract.kit.runs import Scenes, module, trainer


def test_the_rate_grows_by_a_constant_factor_between_its_ends() -> None:
    rates = [LearningRateRange(1e-4, 1.0, steps=11).rate(step) for step in range(12)]
    assert (rates[0], rates[10], rates[11]) == pytest.approx((1e-4, 1, 1))
    factors = [b / a for a, b in pairwise(rates[:11])]
    assert factors == pytest.approx([10 ** (4 / 10)] * 10)


def test_running_means_begin_with_the_first_loss() -> None:
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2, 2, 2])
    assert smoothed([1.0, 2.0])[1] == pytest.approx((0.1 * 0.9 * 1 + 0.1 * 2) / (1 - 0.81))


def test_the_steepest_fall_over_the_logarithm_of_the_rate_is_found() -> None:
    rates = [10 ** (exponent / 10) for exponent in range(-50, 0)]
    losses = [-math.tanh(math.log10(rate) + 3) for rate in rates]  # steepest at 1e-3
    assert steepest(rates, losses) == pytest.approx(1e-3)
    assert steepest(rates, [1.0] * 50) is None
    assert steepest(rates[:2], losses[:2]) is None


def test_a_run_writes_its_numbers_and_a_picture_and_names_a_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mtl"):
        settings = {"max_steps": 12, "max_epochs": 9, "default_root_dir": tmp_path}
        trainer([LearningRateRange(1e-5, 1e-1, steps=12)], **settings).fit(module(), Scenes())
    rows = list(csv.DictReader((tmp_path / "lr_range.csv").read_text().splitlines()))
    assert [float(row["lr"]) for row in rows] == pytest.approx([1e-5 * 10 ** (4 * step / 11) for step in range(12)])
    assert (tmp_path / "pictures/lr_range.png").is_file()
    assert "learning rate" in caplog.text


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="below highest"):
        LearningRateRange(1.0, 0.1)
    with pytest.raises(ValueError, match="steps=2 must be at least 10"):
        LearningRateRange(steps=2)
