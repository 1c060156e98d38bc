"""How often each class of a task is in the training samples: for weights in the loss and for balanced sampling."""

import copy
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from torch import nn

from mtl.data.label_check import has_label
from mtl.data.rank_zero import from_rank_zero
from mtl.targets.target import Target, target_of
from mtl.task import Task

if TYPE_CHECKING:
    from mtl.data.module import JointDataModule

Classes = list[list[int]]  # of every sample: of each of its objects, or of the whole; empty without a label


def classes_by_reading(dataset: Any, task: Task) -> Classes:
    """The classes of every sample, by reading them all.

    Args:
        dataset: a map-style data set.
        task: a task of a kind with classes.
    """
    target = target_of(task)
    # read from a copy: files that a data set opens at its first sample must not be open when workers are forked
    dataset = copy.copy(dataset)
    samples = (dict(dataset[index]) for index in range(len(dataset)))
    return [target.class_indices(sample) if has_label(sample, target) else [] for sample in samples]


def refuse_without_classes(task: Task, setting: str) -> None:
    """Refuse a task whose labels are no classes.

    Args:
        task: the task.
        setting: what needs classes, for the message.

    Raises:
        ValueError: naming the task and its kind.
    """
    if type(target_of(task)).class_indices is Target.class_indices:
        raise ValueError(f"{setting} needs classes, and task {task.name!r} is of kind {task.kind!r}. Leave it out.")


def group_of_each(classes: Classes) -> list[int]:
    """The rarest class of each sample, by the number of samples that show it; -1 without a label or an object.

    Args:
        classes: of every sample.
    """
    shown = Counter(label for labels in classes for label in set(labels))
    return [min(labels, key=lambda label: (shown[label], label), default=-1) for labels in classes]


def give_class_counts(data: "JointDataModule", parts: Mapping[str, nn.Module], trainer: Trainer) -> None:
    """Tell heads with `class_weights: balanced` how many training labels each class has.

    Args:
        data: the data module, after `setup`.
        parts: modules of the model; heads among them say by `wants_class_counts` that they need it.
        trainer: the trainer that is about to start.

    Raises:
        ValueError: if the order of samples is balanced by the same task.
    """
    for part in parts.values():
        if not getattr(part, "wants_class_counts", False):
            continue
        task: Any = part.task
        if task.name in (data.balance or {}):
            raise ValueError(
                f"head {task.name!r} has class_weights: balanced, and data.balance draws rare classes of {task.name!r} "
                "more often; together they count twice. Leave one of them out."
            )
        labels = [label for of_one in training_classes(data, task, trainer) for label in of_one]
        counts_C = torch.bincount(torch.tensor(labels, dtype=torch.int64), minlength=task.num_classes)
        part.take_class_counts(counts_C)  # type: ignore[operator]


def training_classes(data: "JointDataModule", task: Task, trainer: Trainer | None) -> Classes:
    """The classes of every training sample; rank 0 reads them and broadcasts them.

    Args:
        data: the data module, after `setup`.
        task: a task of a kind with classes.
        trainer: the trainer, if there is one.
    """
    return from_rank_zero(trainer, f"count the classes of task {task.name!r}", lambda: data.training_classes(task))
