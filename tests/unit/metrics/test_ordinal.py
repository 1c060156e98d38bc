"""Quadratic weighted kappa beside scikit-learn; far misses cost more; one class alone has no kappa."""

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from mtl.metrics.ordinal import OrdinalMetrics
from mtl.task import Task


def found(target: list[int], labels: list[int]) -> dict[str, float]:
    metrics = OrdinalMetrics(Task("t", "classification", 4))
    metrics.update({"labels": torch.tensor(labels)}, {"t": torch.tensor(target)})
    return {name: float(value) for name, value in metrics.compute().items()}


def test_kappa_is_that_of_scikit_learn_over_the_known_samples() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(4, size=50)
    labels = np.clip(target + rng.integers(-1, 2, size=50), 0, 3)
    values = found([*target, -100], [*labels, 2])
    assert values["qwk"] == pytest.approx(cohen_kappa_score(target, labels, weights="quadratic"))
    assert values["class_distance"] == pytest.approx(np.abs(target - labels).mean())
    assert values["accuracy"] == pytest.approx((target == labels).mean())


def test_a_far_miss_costs_more_than_a_near_one() -> None:
    target = [0, 0, 1, 2, 3, 3]
    near, far = found(target, [1, 0, 1, 2, 3, 3]), found(target, [3, 0, 1, 2, 3, 3])
    assert near["accuracy"] == far["accuracy"]
    assert near["qwk"] > far["qwk"]


def test_all_of_one_class_has_no_kappa() -> None:
    assert "qwk" not in found([1, 1], [1, 1])
    assert found([1, 1], [1, 1])["accuracy"] == 1.0
