"""Before step 1: does every task that has a head find a label in what it is trained and judged on?

A task without labels costs nothing and logs a loss of 0, so that a wrong file name looks like a perfect run. Data that
lies in arrays is counted. Other data is read, sample by sample from all over the set, until every task has shown a
label, for a few seconds at most: then nothing is said about it.
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

from mtl.targets.target import Target, target_of
from mtl.task import Task

if TYPE_CHECKING:
    from mtl.data.module import JointDataModule

log = logging.getLogger(__name__)
_PATIENCE_S = 5.0
_WAYS_OUT = (
    "Correct the labels or the names that lead to them, remove the head (`model.heads.TASK: null`), or train without "
    "these labels: `on_unlabelled: warn` in the arguments of the data."
)


@dataclass(frozen=True)
class LabelCount:
    """How many samples of a split carry a label of one task.

    Args:
        labelled: samples with a label.
        samples: samples that were looked at.
        of: samples of the split.
        boxes: boxes in them, for a detection task.
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
    """Refuse to train where a task has no label in the training or validation samples; elsewhere warn.

    Args:
        data: the data module, set up.
        tasks: the tasks that have a head, by name.
        trainer: the trainer that is about to start; all its ranks take the word of the first.

    Raises:
        ValueError: naming task, split, counts and the likely cause.
    """
    faults: list[_Fault] = []
    failure: Exception | None = None
    if trainer.is_global_zero:
        try:
            faults = [fault for split in _splits(data, trainer) for fault in _faults(data, split, tasks)]
        except Exception as error:  # noqa: BLE001, raised below, when the other ranks know of it
            failure = error
    faults, said = trainer.strategy.broadcast((faults, failure and f"{type(failure).__name__}: {failure}"))
    if failure is not None:
        raise failure
    if said:
        raise RuntimeError(f"rank 0 could not look at the labels: {said}")
    refused = [fault for fault in faults if fault.sure and fault.split != "test" and trainer.state.fn == "fit"]
    if refused and data.on_unlabelled == "error":
        raise ValueError("\n".join([*(fault.text for fault in refused), _WAYS_OUT]))
    for fault in faults:
        rank_zero_only(log.warning)(fault.text)


def count_by_reading(dataset: Any, tasks: Mapping[str, Task]) -> dict[str, LabelCount]:
    """How many samples carry a label, of those that had to be read to see one label of every task.

    Args:
        dataset: a map-style data set; anything else is not looked at.
        tasks: the tasks to look for, by name.
    """
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__") or not tasks:
        return {}
    of, seen = len(dataset), 0
    # a file that a data set opens at its first sample must not be open when loader processes are forked
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
                return {}  # a form of one's own, which only its own collate function knows
            seen += 1
            for name, target in targets.items():
                if _has_label(sample, target):
                    labelled[name] += 1
                    number = target.num_objects(dict(sample))
                    boxes[name] = None if number is None else number + (boxes[name] or 0)
            shown = all(labelled[name] and boxes[name] != 0 for name in tasks)
            if shown or time.monotonic() > end:
                break
    return {name: LabelCount(labelled[name], seen, of, boxes[name]) for name in tasks}


def _splits(data: "JointDataModule", trainer: Trainer) -> list[str]:
    """The splits that are about to be used and are there."""
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
            text = f"task {name!r} has a head and no label: 0 of {seen} samples of split {split!r} are labelled for it."
        elif count.boxes == 0:
            text = (
                f"task {name!r} has a head and nothing to find: {count.labelled} of {seen} samples of split {split!r} "
                "are annotated, without a single box."
            )
        else:
            continue
        why = data.explain_unlabelled(split, tasks[name])
        # a small validation set may be without a box by chance
        sure = count.samples == count.of and (split == "train" or not count.labelled)
        yield _Fault(split, f"{text} {why}".rstrip(), sure)


def _has_label(sample: Mapping[str, Any], target: Target) -> bool:
    task = target.task
    if sample.get(task.name) is None or not sample.get(task.labelled_field, True):
        return False
    return not target.is_missing(dict(sample))


def _spread(length: int) -> Iterator[int]:
    """Every index once, in steps of about 0.618 of the length: the first few lie all over the set."""
    step = max(1, round(length * 0.618))
    while math.gcd(step, length) > 1:
        step += 1
    return (k * step % length for k in range(length))
