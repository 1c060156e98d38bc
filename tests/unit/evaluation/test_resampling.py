"""Weighted metrics beside scikit-learn on repeated samples; units are drawn whole; an interval by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, mean_absolute_error, r2_score, roc_auc_score

from mtl.evaluation.tables.resampling import STATISTICS, draw_weights, percentiles
from mtl.metrics.probabilities import ProbabilityMetrics
from mtl.task import Task


def test_every_statistic_is_that_of_the_repeated_samples() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(2), 40)
    target, values = rng.integers(2, size=40), rng.normal(size=40)
    predictions = {
        "probabilities": torch.from_numpy(probabilities),
        "labels": torch.from_numpy(probabilities.argmax(1)),
        "values": torch.from_numpy(values),
    }
    weights = draw_weights([f"row {i}" for i in range(40)], 3)
    assert set(STATISTICS) == {
        "auroc", "auprc", "brier", "calibration_error", "accuracy", "balanced_accuracy", "qwk", "mae", "r2"
    }  # fmt: skip
    for index, row in enumerate(weights.long().numpy()):
        at = np.repeat(np.arange(40), row)
        labels = probabilities.argmax(1)[at]
        expected = {
            "auroc": roc_auc_score(target[at], probabilities[at, 1]),
            "accuracy": (labels == target[at]).mean(),
            "balanced_accuracy": balanced_accuracy_score(target[at], labels),
            "qwk": cohen_kappa_score(target[at], labels, weights="quadratic"),
            "mae": mean_absolute_error(target[at], values[at]),
            "r2": r2_score(target[at], values[at]),
        }
        for name, value in expected.items():
            found = STATISTICS[name](predictions, torch.from_numpy(target), weights)[index]
            assert float(found) == pytest.approx(value), name


def test_statistics_of_three_classes_are_the_metrics_of_the_test() -> None:
    rows, target = torch.rand(30, 3).softmax(1), torch.arange(30) % 2  # one class never occurs
    predictions = {"labels": rows.argmax(1), "probabilities": rows}
    metrics = ProbabilityMetrics(Task("t", "classification", 3))
    metrics.update(predictions, {"t": target})
    found = metrics.compute()
    for name in ("auroc", "auprc", "brier", "calibration_error", "accuracy", "balanced_accuracy"):
        value = STATISTICS[name](predictions, target, torch.ones(1, 30, dtype=torch.float64))
        assert float(value) == pytest.approx(float(found[name]), abs=1e-6), name


def test_rows_of_a_patient_are_drawn_together_and_widen_the_interval() -> None:
    patients = [f"p{i // 10}" for i in range(100)]
    weights = draw_weights(patients, 400)
    assert (weights.view(400, 10, 10) == weights.view(400, 10, 10)[:, :, :1]).all()
    right = {"labels": torch.tensor([int(p[1:]) % 2 for p in patients])}
    zeros = torch.zeros(100, dtype=torch.long)
    whole = percentiles(STATISTICS["accuracy"](right, zeros, weights))
    single = percentiles(STATISTICS["accuracy"](right, zeros, draw_weights(range(100), 400)))
    assert whole[1] - whole[0] > 2 * (single[1] - single[0])


def test_percentiles_leave_out_what_has_no_value() -> None:
    values = torch.cat((torch.linspace(0, 1, 101), torch.tensor([torch.nan])))
    assert percentiles(values, 0.9) == pytest.approx((0.05, 0.95))
    assert np.isnan(percentiles(torch.tensor([torch.nan]))).all()
