"""Check before step 1 that every task with a head has labels in the training and validation samples.

A task without labels raises no error and logs a loss of 0, so a wrong file name looks like a perfect run. Labels in
arrays are counted. Otherwise samples from all over the data set are read until each task has shown a label, for at most
5 seconds.
"""

import copy
import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import IterableDataset

from mtl.data.split_leaks import split_leaks
from mtl.targets.target import Target, target_of
from mtl.task import Task

if TYPE_CHECKING:
    from mtl.data.module import JointDataModule

log = logging.getLogger(__name__)
_PATIENCE_S = 5.0
_WAYS_OUT = (
    "Correct the labels or their file names, remove the head (`model.heads.TASK: null`), or train without these labels "
    "(`on_unlabelled: warn` in the arguments of the data)."
)


@dataclass(frozen=True)
class LabelCount:
    """Number of samples of a split that have a label of one task.

    Args:
        labelled: samples with a label.
        samples: samples checked.
        of: samples of the split.
        boxes: boxes in the checked samples, for a detection task.
    """

    labelled: int
    samples: int
    of: int
    boxes: int | None = None


@dataclass(frozen=True)
class _Fault:
    split: str
    text: str
    sure: bool = True


def check_labels(data: "JointDataModule", tasks: Mapping[str, Task], trainer: Trainer) -> None:
    """Raise an error if a task has no label in the training or validation samples of a fit; warn in other cases.

    Args:
        data: the data module, after `setup`.
        tasks: the tasks with a head, by name.
        trainer: the trainer that is about to start; rank 0 checks and broadcasts the result.

    Raises:
        ValueError: names task, split, counts and the likely cause.
    """
    faults: list[_Fault] = []
    failure: Exception | None = None
    if trainer.is_global_zero:
        try:
            faults = [fault for split in _splits(data, trainer) for fault in _faults(data, split, tasks)]
        except Exception as error:  # noqa: BLE001, raised below, after the broadcast to the other ranks
            failure = error
    faults, message = trainer.strategy.broadcast((faults, failure and f"{type(failure).__name__}: {failure}"))
    if failure is not None:
        raise failure
    if message:
        raise RuntimeError(f"rank 0 could not check the labels: {message}")
    refused = [fault for fault in faults if fault.sure and fault.split != "test" and trainer.state.fn == "fit"]
    if refused and data.on_unlabelled == "error":
        raise ValueError("\n".join([*(fault.text for fault in refused), _WAYS_OUT]))
    for fault in faults:
        rank_zero_only(log.warning)(fault.text)
    rank_zero_only(_warn_of_leaks)(data)


def _warn_of_leaks(data: "JointDataModule") -> None:
    """Warn once of samples that two splits have in common, as far as the splits are read."""
    splits = {split: getattr(data, f"{split}_set", None) for split in ("train", "val", "test")}
    splits |= getattr(data, "all_sets", {})  # a table reads all at once
    for leak in split_leaks({split: samples for split, samples in splits.items() if samples is not None}, data.inputs):
        if leak.text not in data.leaks_told:
            log.warning(leak.text)
            data.leaks_told.append(leak.text)


def count_by_reading(dataset: Any, tasks: Mapping[str, Task]) -> dict[str, LabelCount]:
    """Read samples until each task has shown a label, and count the labels among the samples read.

    Args:
        dataset: a map-style data set; other data sets are not checked.
        tasks: the tasks to check, by name.

    Returns:
        The counts by task; empty if the data set cannot be checked.
    """
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__") or not tasks:
        return {}
    of, seen = len(dataset), 0
    # read from a copy: files that a data set opens at its first sample must not be open when workers are forked
    with suppress(Exception):
        dataset = copy.copy(dataset)
    targets = {name: target_of(task) for name, task in tasks.items()}
    labelled: dict[str, int] = dict.fromkeys(tasks, 0)
    boxes: dict[str, int | None] = dict.fromkeys(tasks)
    end = time.monotonic() + _PATIENCE_S
    with isolate_rng():
        for index in _spread(of):
            sample = dataset[index]
            if not isinstance(sample, Mapping):
                return {}  # a custom sample type that only its collate function understands
            seen += 1
            for name, target in targets.items():
                if has_label(sample, target):
                    labelled[name] += 1
                    number = target.num_objects(dict(sample))
                    boxes[name] = None if number is None else number + (boxes[name] or 0)
            shown = all(labelled[name] and boxes[name] != 0 for name in tasks)
            if shown or time.monotonic() > end:
                break
    return {name: LabelCount(labelled[name], seen, of, boxes[name]) for name in tasks}


def _splits(data: "JointDataModule", trainer: Trainer) -> list[str]:
    """The splits that this run uses and the data module has."""
    if trainer.state.fn is None:
        return []
    used = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(trainer.state.fn.value, ())
    return [
        split
        for split in used
        if getattr(trainer, f"limit_{split}_batches") and getattr(data, f"{split}_set", None) is not None
    ]


def _faults(data: "JointDataModule", split: str, tasks: Mapping[str, Task]) -> Iterator[_Fault]:
    for name, count in data.count_labels(split, tasks).items():
        seen = f"{count.samples}" if count.samples == count.of else f"{count.samples} (of {count.of})"
        if not count.of:
            continue
        if not count.labelled:
            text = (
                f"task {name!r} has a head but no labels: 0 of {seen} samples of split {split!r} are labelled for it."
            )
        elif count.boxes == 0:
            text = (
                f"task {name!r} has a head but no boxes: {count.labelled} of {seen} samples of split {split!r} are "
                "annotated, without a single box."
            )
        else:
            continue
        why = data.explain_unlabelled(split, tasks[name])
        # a small validation set may randomly contain no box
        sure = count.samples == count.of and (split == "train" or not count.labelled)
        yield _Fault(split, f"{text} {why}".rstrip(), sure)


def has_label(sample: Mapping[str, Any], target: Target) -> bool:
    """Whether a sample carries a label of a task.

    Args:
        sample: the sample.
        target: of the task.
    """
    task = target.task
    if sample.get(task.name) is None or not sample.get(task.labelled_field, True):
        return False
    return not target.is_missing(dict(sample))


def _spread(length: int) -> Iterator[int]:
    """Every index once, in steps of about 0.618 of the length, so the first few are spread over the data set."""
    step = max(1, round(length * 0.618))
    while math.gcd(step, length) > 1:
        step += 1
    return (k * step % length for k in range(length))
