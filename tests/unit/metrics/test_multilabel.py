"""Multi-label metrics against scikit-learn's."""

import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from mtl.metrics.multilabel import MultilabelMetrics, average_precisions, f1_scores
from mtl.task import Task

TASK = Task("tags", "multilabel", class_names=("sky", "sea", "sand"))


def test_equals_scikit_learn_over_several_batches_and_missing_samples() -> None:
    scores, target = torch.rand(60, 3), (torch.rand(60, 3) < 0.4).float()
    known = torch.rand(60) < 0.8
    metrics = MultilabelMetrics(TASK)
    filled = torch.where(known[:, None], target, torch.nan)
    for part in (slice(0, 25), slice(25, 60)):
        metrics.update({"probabilities": scores[part]}, {"tags": filled[part], "labelled/tags": known[part]})
    found = metrics.compute(per_class=True)
    truth, guess = target[known].numpy(), scores[known].numpy()
    assert found["f1_macro"].item() == pytest.approx(f1_score(truth, guess > 0.5, average="macro"), abs=1e-6)
    assert found["map"].item() == pytest.approx(average_precision_score(truth, guess, average="macro"), abs=1e-5)
    assert found["subset_accuracy"].item() == pytest.approx(accuracy_score(truth, guess > 0.5), abs=1e-6)
    assert found["f1/sea"].item() == pytest.approx(f1_score(truth[:, 1], guess[:, 1] > 0.5), abs=1e-6)
    assert found["ap/sand"].item() == pytest.approx(average_precision_score(truth[:, 2], guess[:, 2]), abs=1e-5)


def test_a_class_that_occurs_nowhere_counts_in_no_mean() -> None:
    target = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    metrics = MultilabelMetrics(TASK)
    metrics.update({"probabilities": target}, {"tags": target})
    found = metrics.compute(per_class=True)
    assert found["f1_macro"] == found["map"] == found["subset_accuracy"] == 1
    assert "f1/sand" not in found


def test_a_single_unknown_class_is_left_out_of_its_class_only() -> None:
    target = torch.tensor([[1.0, torch.nan], [1.0, 1.0], [0.0, 0.0]])
    predicted = torch.tensor([[True, True], [True, True], [False, False]])
    assert f1_scores(predicted, target).tolist() == [1.0, 1.0]
    assert average_precisions(predicted.float(), target).tolist() == [1.0, 1.0]
