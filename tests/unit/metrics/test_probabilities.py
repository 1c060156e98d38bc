"""Metrics of probabilities beside scikit-learn, for two classes and for more; what is not labelled does not count."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from mtl.metrics.probabilities import ProbabilityMetrics
from mtl.task import Task


def filled(classes: int) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    probabilities = torch.from_numpy(rng.dirichlet(np.ones(classes), 80)).float()
    target = torch.from_numpy(rng.integers(classes, size=80))
    target[::9] = -100
    metrics = ProbabilityMetrics(Task("t", "classification", classes))
    for part in (slice(0, 30), slice(30, 80)):
        batch = {"t": target[part], "labelled/t": target[part] >= 0}
        rows = probabilities[part]
        metrics.update({"labels": rows.argmax(1), "probabilities": rows}, batch)
    known = (target >= 0).numpy()
    return {k: float(v) for k, v in metrics.compute().items()}, probabilities.numpy()[known], target.numpy()[known]


def test_two_classes() -> None:
    found, probabilities, target = filled(2)
    assert found["auroc"] == pytest.approx(roc_auc_score(target, probabilities[:, 1]))
    assert found["auprc"] == pytest.approx(average_precision_score(target, probabilities[:, 1]))
    assert found["brier"] == pytest.approx(brier_score_loss(target, probabilities[:, 1]))
    assert found["accuracy"] == pytest.approx((probabilities.argmax(1) == target).mean())
    assert "sensitivity_at_90_specificity" in found


def test_more_classes_are_each_compared_with_the_rest() -> None:
    found, probabilities, target = filled(3)
    one_hot = np.eye(3)[target]
    scaled = probabilities / probabilities.sum(1, keepdims=True)
    assert found["auroc"] == pytest.approx(roc_auc_score(target, scaled, multi_class="ovr"), abs=1e-6)
    assert found["auprc"] == pytest.approx(average_precision_score(one_hot, probabilities), abs=1e-6)
    assert found["brier"] == pytest.approx(((probabilities - one_hot) ** 2).sum(1).mean(), abs=1e-6)
    assert not [name for name in found if name.startswith("sensitivity")]


def test_one_class_alone_leaves_out_what_needs_both() -> None:
    metrics = ProbabilityMetrics(Task("t", "classification", 2), specificity=0.95)
    rows = torch.tensor([[0.2, 0.8], [0.6, 0.4]])
    metrics.update({"labels": rows.argmax(1), "probabilities": rows}, {"t": torch.tensor([1, 1])})
    found = metrics.compute()
    assert {"brier", "accuracy", "auprc"} <= set(found)
    assert "auroc" not in found
    assert not [name for name in found if name.startswith("sensitivity")]
    metrics.reset()
    metrics.update({"labels": rows.argmax(1), "probabilities": rows}, {"t": torch.tensor([-100, -100])})
    assert metrics.compute() == {}
