"""Accuracy, macro F1 and balanced accuracy against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from torch import Tensor

from mtl.batch import IGNORE_INDEX
from mtl.metrics.classification import ClassificationMetrics
from mtl.task import Task
from tests.conftest import RunRanks

TASK = Task("scene", "classification", class_names=("a", "b", "c", "d", "e"))


def measure(labels: Tensor, target: Tensor, known: Tensor | None = None, per_class: bool = False) -> dict[str, float]:
    metrics = ClassificationMetrics(TASK)
    for rows in torch.arange(len(labels)).split(7):  # the last batch is smaller
        batch = {"scene": target[rows]}
        if known is not None:
            batch["labelled/scene"] = known[rows]
        metrics.update({"labels": labels[rows]}, batch)
    return {name: float(value) for name, value in metrics.compute(per_class).items()}


def reference(labels_B: Tensor, target_B: Tensor) -> dict[str, float]:
    labels, target = labels_B.numpy(), target_B.numpy()
    occurring = np.union1d(labels, target)
    return {
        "accuracy": accuracy_score(target, labels),
        "f1_macro": f1_score(target, labels, average="macro", labels=occurring),
        # computed here, not by scikit-learn's function: that one warns about a class that was only predicted
        "balanced_accuracy": float(np.mean([np.mean((labels == c)[target == c]) for c in np.unique(target)])),
    }


@pytest.mark.parametrize("classes", [5, 3])  # 3: two classes are neither true nor predicted
def test_values_are_those_of_scikit_learn(classes: int) -> None:
    labels, target = torch.randint(classes, (60,)), torch.randint(classes, (60,))
    assert measure(labels, target) == pytest.approx(reference(labels, target))
    expected = balanced_accuracy_score(target.numpy(), labels.numpy())
    assert reference(labels, target)["balanced_accuracy"] == pytest.approx(expected)


def test_a_class_that_is_only_predicted_counts_in_f1_and_not_in_balanced_accuracy() -> None:
    labels, target = torch.tensor([0, 0, 4, 1]), torch.tensor([0, 0, 1, 1])
    values = measure(labels, target)
    assert values == pytest.approx(reference(labels, target))
    assert values["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert values["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_missing_labels_do_not_count_whichever_way_they_are_marked() -> None:
    labels, target = torch.randint(5, (40,)), torch.randint(5, (40,))
    known = torch.rand(40) > 0.4
    expected = reference(labels[known], target[known])
    assert measure(labels, torch.where(known, target, IGNORE_INDEX)) == pytest.approx(expected)
    assert measure(labels, target, known) == pytest.approx(expected)


def test_nothing_labelled_gives_no_value_rather_than_a_zero() -> None:
    assert measure(torch.tensor([1, 2]), torch.full((2,), IGNORE_INDEX)) == {}


def test_recall_of_single_classes_carries_their_names() -> None:
    values = measure(torch.tensor([0, 1, 0, 2]), torch.tensor([0, 0, 0, 2]), per_class=True)
    assert values["recall/a"] == pytest.approx(2 / 3)
    assert values["recall/c"] == 1
    # a class that no sample has is neither found nor missed, also where it is predicted
    assert {name for name in values if name.startswith("recall/")} == {"recall/a", "recall/c"}


def test_reset_forgets() -> None:
    metrics = ClassificationMetrics(TASK)
    metrics.update({"labels": torch.tensor([0])}, {"scene": torch.tensor([1])})
    metrics.reset()
    metrics.update({"labels": torch.tensor([2])}, {"scene": torch.tensor([2])})
    assert metrics.compute()["accuracy"] == 1


def on_rank(rank: int, labels: Tensor, target: Tensor) -> dict[str, Tensor]:
    metrics = ClassificationMetrics(TASK)
    rows = slice(0, 5) if rank == 0 else slice(5, None)
    metrics.update({"labels": labels[rows]}, {"scene": target[rows]})
    nobody = ClassificationMetrics(TASK)
    nobody.update({"labels": labels[rows]}, {"scene": torch.full_like(target[rows], IGNORE_INDEX)})
    return metrics.compute() | {f"nobody/{name}": value for name, value in nobody.compute().items()}


@pytest.mark.ddp
def test_two_uneven_ranks_one_of_them_without_labels_equal_one_process(run_ranks: RunRanks) -> None:
    labels, target = torch.randint(5, (30,)), torch.randint(5, (30,))
    target[:5] = IGNORE_INDEX  # all of rank 0
    for values in run_ranks(on_rank, labels, target):
        assert {name: float(value) for name, value in values.items()} == pytest.approx(measure(labels, target))
