"""Beside scikit-learn and torchmetrics, with ties and weights; a hand count of sensitivity and threshold."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from torchmetrics.functional.classification import binary_sensitivity_at_specificity

from mtl.functional.ranking_scores import auroc, average_precision, sensitivity_at_specificity, youden_threshold


def samples(seed: int, ties: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = rng.random(60) < 0.4
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    scores = scores.round(1) if ties else scores
    return torch.from_numpy(scores), torch.from_numpy(labels), torch.from_numpy(rng.integers(0, 4, (3, 60)))


@pytest.mark.parametrize("seed", range(3))
def test_areas_are_those_of_scikit_learn_for_every_set_of_weights(seed: int) -> None:
    scores, labels, weights = samples(seed)
    for ours, theirs in ((auroc, roc_auc_score), (average_precision, average_precision_score)):
        assert float(ours(scores, labels)) == pytest.approx(theirs(labels, scores))
        expected = [theirs(labels, scores, sample_weight=row) for row in weights]
        assert ours(scores, labels, weights).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("specificity", [0.5, 0.8, 0.9, 1.0])
def test_sensitivity_is_that_of_torchmetrics(specificity: float) -> None:
    scores, labels, weights = samples(7)
    theirs, _ = binary_sensitivity_at_specificity(scores, labels.long(), min_specificity=specificity)
    assert float(sensitivity_at_specificity(scores, labels, specificity)) == pytest.approx(float(theirs))
    repeated = [np.repeat(np.arange(60), row) for row in weights.numpy()]
    expected = [float(sensitivity_at_specificity(scores[i], labels[i], specificity)) for i in repeated]
    assert sensitivity_at_specificity(scores, labels, specificity, weights).tolist() == pytest.approx(expected)


def test_sensitivity_by_hand() -> None:
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), torch.tensor([1, 0, 1, 0, 1])
    # above 0.8 one of two negatives is an alarm, and one of three positives is found until 0.7
    assert float(sensitivity_at_specificity(scores, labels, 1.0)) == pytest.approx(1 / 3)
    assert float(sensitivity_at_specificity(scores, labels, 0.5)) == pytest.approx(2 / 3)


def test_the_order_of_scores_is_all_that_counts() -> None:
    scores, labels, _ = samples(3)
    for score in (auroc, average_precision):
        assert float(score(scores, labels)) == float(score(scores.exp() * 5, labels))
    assert float(auroc(-scores, labels)) == pytest.approx(1 - float(auroc(scores, labels)))


def test_one_class_alone_has_no_value() -> None:
    scores = torch.tensor([0.1, 0.2])
    assert auroc(scores, torch.tensor([1, 1])).isnan()
    assert average_precision(scores, torch.tensor([0, 0])).isnan()
    assert sensitivity_at_specificity(scores, torch.tensor([0, 0]), 0.9).isnan()
    with pytest.raises(ValueError, match="both classes"):
        youden_threshold(scores, torch.tensor([1, 1]))


def test_no_threshold_has_a_larger_balanced_accuracy() -> None:
    scores, labels, _ = samples(5, ties=False)
    chosen = youden_threshold(scores, labels)
    accuracies = [balanced_accuracy_score(labels, scores >= t) for t in (*scores, 2.0)]
    assert balanced_accuracy_score(labels, scores >= chosen) == pytest.approx(max(accuracies))
    assert not (scores == chosen).any(), "halfway, so that rounding decides nothing"
