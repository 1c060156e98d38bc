"""What is in a data set, before any training: counts by class and split, and what should be looked at.

Samples are read as the network gets them, without augmentation: sides of boxes are in pixels of its input.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from mtl.config.yaml_lines import ConfigError
from mtl.data.label_check import has_label
from mtl.data.module import JointDataModule
from mtl.data.picture_hash import difference_hash, grey
from mtl.evaluation.data.data_findings import (
    Finding,
    Place,
    names_of,
    of_class_names,
    of_copies,
    of_leaks,
    of_report,
    of_sizes,
)
from mtl.evaluation.data.label_agreement import Shown, disagreements
from mtl.evaluation.data.object_counts import Objects, of_numbers
from mtl.inputs.image import image_of
from mtl.targets.target import target_of
from mtl.task import Task

SPLITS = ("train", "val", "test")
_SMALL_PX = 3.0  # a shorter side below it is hardly a pixel of the finest level
_RARE, _IMBALANCE, _UNLABELLED = 10, 100.0, 0.5
_DARK, _UNIFORM = 10.0, 3.0  # mean and standard deviation of grey values 0..255


@dataclass
class TaskCount:
    """The labels of one task in one split.

    Args:
        samples: samples read.
        labelled: samples with a label.
        classes: objects or labels of every class, by name.
        small: objects with a side below 3 px of the network's input.
        small_in: samples that hold them.
    """

    samples: int = 0
    labelled: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    small: int = 0
    small_in: list[int] = field(default_factory=list)


@dataclass
class DataCheck:
    """All counts and findings.

    Args:
        counts: by split and task.
        findings: what should be looked at.
        names: of every sample that was read, with its split.
    """

    counts: dict[str, dict[str, TaskCount]]
    findings: list[Finding]
    names: dict[Place, str] = field(default_factory=dict)

    @property
    def has_errors(self) -> bool:
        """Whether a finding is an error."""
        return any(finding.level == "error" for finding in self.findings)

    def plain(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        counts = {
            split: {name: {**vars(count), "classes": dict(count.classes)} for name, count in found.items()}
            for split, found in self.counts.items()
        }
        findings = [
            {
                **asdict(finding),
                "samples": [self.names.get(place, f"{place[0]} {place[1]}") for place in finding.places],
            }
            for finding in self.findings
        ]
        return {"counts": counts, "findings": findings}


def check_data(data: JointDataModule, max_samples: int | None = None) -> DataCheck:
    """Read all samples of all splits and count.

    Args:
        data: the data module, before or after `setup`.
        max_samples: most samples of a split, spread over it; all by default.

    Raises:
        ValueError: for what `fit` would refuse, and for a number below 1.
    """
    if max_samples is not None and max_samples < 1:
        raise ConfigError(f"max_samples={max_samples} must be at least 1.")
    findings: list[Finding] = []
    data.report_all()
    data.setup("fit")
    try:
        data.setup("test")
    except ValueError as error:
        findings.append(Finding("warning", "no_test", f"there is no test split: {error}"))
    image = image_of(data.inputs)
    counts: dict[str, dict[str, TaskCount]] = {}
    hashes: dict[str, dict[int, Tensor]] = {}
    samples: dict[Place, Shown] = {}
    objects: dict[Place, Objects] = {}
    names: dict[str, list[str]] = {}
    for split in SPLITS:
        dataset: Any = getattr(data, f"{split}_set", None)
        if dataset is None or not hasattr(dataset, "__len__"):
            continue
        names[split] = names_of(dataset)
        read = _Reader(split, data.tasks, image, names[split], findings)
        read.all(dataset, max_samples)
        counts[split] = read.counts
        if not names[split] or all(names[split] != names[other] for other in hashes):  # else the report says so
            hashes[split] = read.hashes
        samples |= read.shown
        objects |= read.objects
        findings += of_sizes(dataset, split)
    findings += of_copies(hashes, names)
    findings += of_leaks({split: getattr(data, f"{split}_set") for split in counts}, data.inputs)
    findings += of_report(getattr(data, "data_report", ()), data.tasks, names)
    named = {(split, i): f"{split} {names[split][i] if names[split] else f'sample {i}'}" for split, i in samples}
    findings += disagreements(samples, data.tasks, named)
    findings += of_numbers(objects, samples, data.tasks, named)
    findings += of_class_names(data.tasks)
    for name, task in data.tasks.items():
        findings += _of_task(task, {split: found[name] for split, found in counts.items()})
    return DataCheck(counts, findings, named)


class _Reader:
    """Reads the samples of one split: counts by task, the hash of every picture, and what each sample shows."""

    def __init__(
        self, split: str, tasks: Mapping[str, Task], image: str | None, names: Sequence[str], findings: list[Finding]
    ) -> None:
        self.split, self.tasks, self.image, self.names, self.findings = split, tasks, image, names, findings
        self.counts = {name: TaskCount() for name in tasks}
        self.hashes: dict[int, Tensor] = {}
        self.shown: dict[Place, Shown] = {}
        self.objects: dict[Place, Objects] = {}

    def all(self, dataset: Any, max_samples: int | None) -> None:
        length = len(dataset)
        every = 1 if max_samples is None else max(1, math.ceil(length / max_samples))
        for index in range(0, length, every):
            self.one(index, dict(dataset[index]))

    def one(self, index: int, sample: dict[str, Any]) -> None:
        shown: dict[str, frozenset[str] | None] = dict.fromkeys(self.tasks)
        objects: dict[str, Counter[str]] = {}
        for name, task in self.tasks.items():
            target, count = target_of(task), self.counts[name]
            count.samples += 1
            if has_label(sample, target):
                classes = [task.class_name(label) for label in target.class_indices(sample)]
                shown[name], objects[name] = frozenset(classes), Counter(classes)
                count.labelled += 1
                count.classes.update(classes)
                small = sum(side < _SMALL_PX for side in target.sides_px(sample))
                count.small += small
                if small:
                    count.small_in.append(index)
        self.shown[self.split, index], self.objects[self.split, index] = shown, objects
        if self.image is not None and sample.get(self.image) is not None:
            grey_HW = grey(torch.as_tensor(sample[self.image]))
            if not self._is_plain(grey_HW, index):  # all plain pictures look alike
                self.hashes[index] = difference_hash(grey_HW)

    def _is_plain(self, grey_HW: Tensor, index: int) -> bool:
        mean, spread = float(grey_HW.mean()), float(grey_HW.std(correction=0))
        name, place = f"{self.split} {self.names[index] if self.names else f'sample {index}'}", (self.split, index)
        if spread < _UNIFORM:
            text = f"{name}: grey {mean:.0f} ± {spread:.1f} of 255"
            self.findings.append(Finding("warning", "uniform", text, (place,)))
        elif mean < _DARK:
            self.findings.append(Finding("warning", "dark", f"{name}: mean grey {mean:.1f} of 255", (place,)))
        return spread < _UNIFORM


def _of_task(task: Task, counts: Mapping[str, TaskCount]) -> Iterator[Finding]:
    for split, count in counts.items():
        if not count.labelled:
            yield Finding("error", "no_labels", f"task {task.name!r} has no label in {split}")
        elif (share := 1 - count.labelled / count.samples) > _UNLABELLED:
            yield Finding("warning", "unlabelled", f"task {task.name!r}: {share:.0%} of {split} has no label")
        if count.small:
            text = f"task {task.name!r}: {count.small} of {count.classes.total()} objects of {split} have a side below"
            places = tuple((split, index) for index in count.small_in)
            yield Finding("warning", "small", f"{text} {_SMALL_PX:g} px at the input size", places)
    train = counts.get("train")
    if train is None or not train.classes:
        return
    names = [task.class_name(index) for index in range(task.num_classes)]
    for name in names:
        elsewhere = [split for split, count in counts.items() if split != "train" and count.classes[name]]
        if not train.classes[name]:
            text = f"task {task.name!r}: class {name!r} is not in train"
            text += f", and is in {' and '.join(elsewhere)}" if elsewhere else ""
            yield Finding("error" if elsewhere else "warning", "absent_class", text)
        elif train.classes[name] < _RARE:
            text = f"task {task.name!r}: class {name!r} is {train.classes[name]} times in train"
            yield Finding("warning", "rare_class", text)
    most, least = max(train.classes.values()), min(train.classes.values())
    if most / least >= _IMBALANCE:
        yield Finding("warning", "imbalance", f"task {task.name!r}: classes of train differ by 1 : {most / least:.0f}")
