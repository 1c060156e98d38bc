"""Beside scikit-learn and torchmetrics; a temperature beside a search over many."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from mtl.functional.calibration import brier_score, calibration_error, fit_temperature, reliability_bins


def samples(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    probabilities = rng.random(200)
    labels = rng.random(200) < probabilities**2
    return torch.from_numpy(probabilities), torch.from_numpy(labels), torch.from_numpy(rng.integers(0, 3, (2, 200)))


@pytest.mark.parametrize("seed", range(2))
def test_brier_score_and_calibration_error_are_those_of_others(seed: int) -> None:
    probabilities, labels, weights = samples(seed)
    assert float(brier_score(probabilities, labels)) == pytest.approx(brier_score_loss(labels, probabilities))
    expected = [brier_score_loss(labels, probabilities, sample_weight=row) for row in weights]
    assert brier_score(probabilities, labels, weights).tolist() == pytest.approx(expected)
    theirs = binary_calibration_error(probabilities, labels.long(), n_bins=10)
    assert float(calibration_error(probabilities, labels, 10)) == pytest.approx(float(theirs), abs=1e-6)


def test_weights_are_repetitions() -> None:
    probabilities, labels, weights = samples(4)
    found = calibration_error(probabilities, labels, 15, weights)
    for value, row in zip(found, weights, strict=True):
        at = np.repeat(np.arange(200), row)
        assert float(value) == pytest.approx(float(calibration_error(probabilities[at], labels[at], 15)))


def test_bins_by_hand_with_both_ends() -> None:
    bins = reliability_bins(torch.tensor([0.0, 0.2, 0.5, 1.0]), torch.tensor([0, 1, 1, 1]), 2)
    assert bins.weight.tolist() == [0.5, 0.5]
    assert bins.predicted.tolist() == pytest.approx([0.1, 0.75])
    assert bins.observed.tolist() == [0.5, 1.0]
    assert float(calibration_error(torch.tensor([0.0, 1.0]), torch.tensor([0, 1]))) == 0.0


@pytest.mark.parametrize("classes", [2, 4])
def test_the_temperature_has_the_smallest_cross_entropy(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    calm = torch.randn(400, classes, generator=generator)
    labels = torch.multinomial(calm.softmax(1), 1, generator=generator)[:, 0]
    found = fit_temperature(calm * 3, labels)
    grid = torch.linspace(1, 8, 701)
    losses = [float(F.cross_entropy(calm * 3 / t, labels)) for t in grid]
    assert found == pytest.approx(float(grid[int(np.argmin(losses))]), abs=0.011)
    # a constant on all logits of a sample, as in log-probabilities, changes nothing
    assert fit_temperature((calm * 3).log_softmax(1), labels) == pytest.approx(found, rel=1e-5)


def test_a_model_that_is_always_right_or_always_wrong_has_a_bounded_temperature() -> None:
    logits = torch.eye(2).repeat(5, 1)
    assert fit_temperature(logits, logits.argmax(1)) == pytest.approx(1 / 5, rel=1e-3)
    assert fit_temperature(logits, logits.argmin(1)) == pytest.approx(5, rel=1e-3)
