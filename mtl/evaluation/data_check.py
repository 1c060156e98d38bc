"""What is in a data set, before any training: counts by class and split, and what should be looked at.

Samples are read as the network gets them, without augmentation: sides of boxes are in pixels of its input.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations, islice
from typing import Any, Literal

import torch
from torch import Tensor

from mtl.data.label_check import has_label
from mtl.data.module import JointDataModule
from mtl.data.picture_hash import difference_hash, grey, near_pairs
from mtl.inputs.image import image_of
from mtl.targets.target import target_of
from mtl.task import Task

SPLITS = ("train", "val", "test")
_SMALL_PX = 3.0  # a shorter side below it is hardly a pixel of the finest level
_RARE, _IMBALANCE, _UNLABELLED = 10, 100.0, 0.5
_DARK, _UNIFORM = 10.0, 3.0  # mean and standard deviation of grey values 0..255
# of 256 bits: a copy that was compressed anew; and another shot of the same scene, as bccd's known pair (23 bits) and
# the pairs of playing_cards (34 to 37), beside which bccd has no pair between splits below 70
_COPY_BITS, _SIMILAR_BITS = 10, 40
_MOST_PAIRS = 1000  # of two splits; pictures with one background are all alike


@dataclass(frozen=True)
class Finding:
    """Something that should be looked at.

    Args:
        level: `error` for what makes training or its numbers wrong, else `warning`.
        kind: type of finding, one word such as `near_duplicate`.
        text: what was found.
    """

    level: Literal["error", "warning"]
    kind: str
    text: str


@dataclass
class TaskCount:
    """The labels of one task in one split.

    Args:
        samples: samples read.
        labelled: samples with a label.
        classes: objects or labels of every class, by name.
        small: objects with a side below 3 px of the network's input.
    """

    samples: int = 0
    labelled: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    small: int = 0


@dataclass
class DataCheck:
    """All counts and findings.

    Args:
        counts: by split and task.
        findings: what should be looked at.
    """

    counts: dict[str, dict[str, TaskCount]]
    findings: list[Finding]

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
        return {"counts": counts, "findings": [asdict(finding) for finding in self.findings]}


def check_data(data: JointDataModule, max_samples: int | None = None) -> DataCheck:
    """Read all samples of all splits and count.

    Args:
        data: the data module, before or after `setup`.
        max_samples: most samples of a split, spread over it; all by default.

    Raises:
        ValueError: for what `fit` would refuse, and for a number below 1.
    """
    if max_samples is not None and max_samples < 1:
        raise ValueError(f"max_samples={max_samples} must be at least 1.")
    findings: list[Finding] = []
    data.setup("fit")
    try:
        data.setup("test")
    except ValueError as error:
        findings.append(Finding("warning", "no_test", f"there is no test split: {error}"))
    image = image_of(data.inputs)
    counts, hashes = {}, {}
    for split in SPLITS:
        dataset: Any = getattr(data, f"{split}_set", None)
        if dataset is None or not hasattr(dataset, "__len__"):
            continue
        counts[split], hashes[split] = _read(dataset, split, data.tasks, image, max_samples, findings)
    findings += _between_splits(hashes)
    for name, task in data.tasks.items():
        findings += _of_task(task, {split: found[name] for split, found in counts.items()})
    return DataCheck(counts, findings)


def _read(
    dataset: Any,
    split: str,
    tasks: Mapping[str, Task],
    image: str | None,
    max_samples: int | None,
    findings: list[Finding],
) -> tuple[dict[str, TaskCount], dict[str, Tensor]]:
    """Counts by task, and the hash of every picture by name."""
    found = {name: TaskCount() for name in tasks}
    hashes: dict[str, Tensor] = {}
    length = len(dataset)
    every = 1 if max_samples is None else max(1, math.ceil(length / max_samples))
    for index in range(0, length, every):
        sample = dict(dataset[index])
        for name, task in tasks.items():
            target, count = target_of(task), found[name]
            count.samples += 1
            if has_label(sample, target):
                count.labelled += 1
                count.classes.update(task.class_name(label) for label in target.class_indices(sample))
                count.small += sum(side < _SMALL_PX for side in target.sides_px(sample))
        if image is not None and sample.get(image) is not None:
            name = _name(dataset, index)
            grey_HW = grey(torch.as_tensor(sample[image]))
            if _is_plain(grey_HW, f"{split} {name}", findings):
                continue  # all plain pictures look alike
            hashes[name] = difference_hash(grey_HW)
    return found, hashes


def _is_plain(grey_HW: Tensor, name: str, findings: list[Finding]) -> bool:
    mean, spread = float(grey_HW.mean()), float(grey_HW.std(correction=0))
    if spread < _UNIFORM:
        findings.append(Finding("warning", "uniform", f"{name}: grey {mean:.0f} ± {spread:.1f} of 255"))
    elif mean < _DARK:
        findings.append(Finding("warning", "dark", f"{name}: mean grey {mean:.1f} of 255"))
    return spread < _UNIFORM


def _between_splits(hashes: Mapping[str, Mapping[str, Tensor]]) -> Iterator[Finding]:
    for first, second in combinations([split for split in hashes if hashes[split]], 2):
        sides = [torch.stack(list(hashes[split].values())) for split in (first, second)]
        names = [list(hashes[split]) for split in (first, second)]
        pairs = sorted(islice(near_pairs(sides[0], sides[1], _SIMILAR_BITS), _MOST_PAIRS), key=lambda pair: pair[2])
        for i, j, bits in pairs:
            text = f"{first} {names[0][i]} and {second} {names[1][j]} ({bits} of 256 bits differ)"
            copy = bits <= _COPY_BITS
            yield Finding("error" if copy else "warning", "near_duplicate" if copy else "similar", text)


def _of_task(task: Task, counts: Mapping[str, TaskCount]) -> Iterator[Finding]:
    for split, count in counts.items():
        if not count.labelled:
            yield Finding("error", "no_labels", f"task {task.name!r} has no label in {split}")
        elif (share := 1 - count.labelled / count.samples) > _UNLABELLED:
            yield Finding("warning", "unlabelled", f"task {task.name!r}: {share:.0%} of {split} has no label")
        if count.small:
            text = f"task {task.name!r}: {count.small} of {count.classes.total()} objects of {split} have a side below"
            yield Finding("warning", "small", f"{text} {_SMALL_PX:g} px at the input size")
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


def _name(dataset: Any, index: int) -> str:
    """The name of a sample, where the data set keeps names."""
    names = getattr(getattr(dataset, "annotations", None), "names", None)
    if names is None:
        return f"sample {index}"
    name = names[index]
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
