"""Segmentation metrics against scikit-learn's Jaccard score over all pixels of the set."""

import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score

from mtl.metrics.segmentation import SegmentationMetrics
from mtl.task import Task

TASK = Task("mask", "segmentation", num_classes=4)


def test_equals_scikit_learn_over_uneven_batches_and_unknown_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(3, (4, 9, 7), generator=generator)  # class 3 never occurs
    found = torch.where(torch.rand(true.shape, generator=generator) < 0.6, true, (true + 1) % 3)
    true[:, :2] = -100
    metrics = SegmentationMetrics(TASK)
    for part in (slice(0, 1), slice(1, 4)):
        metrics.update({"class_map": found[part]}, {"mask": true[part]})
    t, p = true[true >= 0].numpy(), found[true >= 0].numpy()
    values = metrics.compute(per_class=True)
    assert values["miou"].item() == pytest.approx(jaccard_score(t, p, average="macro"), rel=1e-6)
    assert values["pixel_accuracy"].item() == pytest.approx(accuracy_score(t, p), rel=1e-6)
    single = jaccard_score(t, p, average=None, labels=[0, 1, 2])
    assert [values[f"iou/{label}"].item() for label in range(3)] == pytest.approx(single.tolist(), rel=1e-6)
    assert "iou/3" not in values


def test_is_over_the_set_and_not_the_mean_of_pictures() -> None:
    true = torch.tensor([[[0, 0, 0, 0]], [[0, 1, 1, 1]]])
    found = torch.tensor([[[0, 0, 0, 1]], [[0, 1, 1, 1]]])
    metrics = SegmentationMetrics(TASK)
    metrics.update({"class_map": found}, {"mask": true})
    assert metrics.compute()["miou"].item() == pytest.approx((4 / 5 + 3 / 4) / 2)


def test_two_classes_have_the_intersection_over_union_of_the_second() -> None:
    metrics = SegmentationMetrics(Task("road", "segmentation", class_names=("other", "road")))
    true, found = torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[1, 1, 1, 0]]])
    metrics.update({"class_map": found}, {"road": true})
    assert metrics.compute()["iou"].item() == pytest.approx(2 / 4)
    assert "iou" not in _scores_of(torch.zeros(1, 1, 2, dtype=torch.int64))


def _scores_of(true: torch.Tensor) -> dict[str, torch.Tensor]:
    """Metrics of a picture in which the second class neither is nor was predicted."""
    metrics = SegmentationMetrics(Task("road", "segmentation", class_names=("other", "road")))
    metrics.update({"class_map": true}, {"road": true})
    return metrics.compute()
