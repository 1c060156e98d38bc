"""Edge metrics against a slow count by distance transform, threshold after threshold."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from mtl.metrics.edges import EdgeMetrics
from mtl.task import Task

TASK = Task("edges", "edges")


def counts(scores: np.ndarray, edge: np.ndarray, threshold: float, radius: float) -> np.ndarray:
    """right, predicted, found, true"""
    predicted = scores >= threshold
    to_edge = distance_transform_edt(~edge)
    to_predicted = distance_transform_edt(~predicted) if predicted.any() else np.full(edge.shape, np.inf)
    right, found = (predicted & (to_edge <= radius)).sum(), (edge & (to_predicted <= radius)).sum()
    return np.array([right, predicted.sum(), found, edge.sum()], float)


def f(right: float, predicted: float, found: float, true: float) -> float:
    precision, recall = right / max(predicted, 1), found / max(true, 1)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def test_equals_the_slow_count_over_two_batches() -> None:
    rng = np.random.default_rng(0)
    edge = rng.random((3, 24, 32)) < 0.05
    # scores in the middle of a step, so that rounding decides nothing
    scores = (np.floor(np.clip(edge * 0.5 + rng.random(edge.shape) * 0.6, 0, 0.98) * 100) + 0.5) / 100
    metrics = EdgeMetrics(TASK, tolerance=0.04)  # 1.6 px of a diagonal of 40, so 2
    for part in (slice(0, 1), slice(1, 3)):
        batch = {"edges": torch.from_numpy(edge[part]).float()}
        metrics.update({"probabilities": torch.from_numpy(scores[part])}, batch)
    thresholds = np.arange(1, 100) / 100
    by_picture = np.array([[counts(s, e, t, 2) for t in thresholds] for s, e in zip(scores, edge, strict=True)])
    best = [max(rows, key=lambda row: f(*row)) for rows in by_picture]
    values = metrics.compute()
    assert values["ods_tolerance"].item() == pytest.approx(max(f(*row) for row in by_picture.sum(0)), rel=1e-6)
    assert values["ois_tolerance"].item() == pytest.approx(f(*np.sum(best, 0)), rel=1e-6)


def test_an_edge_one_pixel_off_counts_within_the_tolerance_only() -> None:
    true, found = torch.zeros(1, 32, 32), torch.zeros(1, 32, 32)
    true[0, :, 10], found[0, :, 11] = 1, 0.9
    for tolerance, expected in ((0.02, 1.0), (0.0, 0.0)):
        metrics = EdgeMetrics(TASK, tolerance)
        metrics.update({"probabilities": found}, {"edges": true})
        assert metrics.compute()["ods_tolerance"].item() == pytest.approx(expected)


def test_pixels_that_nobody_annotated_count_nowhere() -> None:
    true, found = torch.zeros(1, 16, 16), torch.zeros(1, 16, 16)
    true[0, :, 4], found[0, :, 4] = 1, 0.9
    found[0, :, 12], true[0, :, 10:] = 0.9, torch.nan
    metrics = EdgeMetrics(TASK, 0.0)
    metrics.update({"probabilities": found}, {"edges": true})
    assert metrics.compute()["ods_tolerance"].item() == 1.0


def test_a_picture_without_edges_takes_its_threshold_with_the_fewest_false_alarms() -> None:
    true, found = torch.zeros(2, 16, 16), torch.full((2, 16, 16), 0.05)
    true[0, :, 8], found[0, :, 8] = 1, 0.9
    metrics = EdgeMetrics(TASK, 0.0)
    metrics.update({"probabilities": found}, {"edges": true})
    # a threshold for each picture is no worse than one for all
    assert metrics.compute() == {"ods_tolerance": 1.0, "ois_tolerance": 1.0}
