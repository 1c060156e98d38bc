"""Sizes and a model for a data set that nobody has trained on yet: rules of thumb, written down as such."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from mtl.data.formats.recognise import Recognised
from mtl.evaluation.data.data_findings import of_class_names
from mtl.task import Task

_STRIDE = 32
_LONG, _MOST_LONG = 320, 640  # px of the longer side: usual, and the most that is proposed
_CLASSES_LONG = 160  # without boxes and masks
_SMALL_PX = 8.0  # a tenth of the boxes may be smaller at the input size
_RARE = 5
_HEADS = {
    "detection": ("CenterNetHead", {}),
    "classification": (
        "ClassificationHead",
        {"levels": ["c4", "p2"], "pooling": ["mean", "max"], "tower": 64, "hidden": 64, "dropout": 0.2},
    ),
    "multilabel": ("MultilabelHead", {}),
    "regression": ("RegressionHead", {}),
    "segmentation": ("SegmentationHead", {}),
}


@dataclass(frozen=True)
class Statistics:
    """What was measured in the data.

    Args:
        num_train: training pictures.
        sizes: height and width of some pictures.
        sides: shorter side of their boxes, as a share of the picture's longer side.
        classes: boxes of every class in training pictures.
        labels: labels of every class in training pictures, by image-level task.
        tasks: the tasks, by name.
    """

    num_train: int
    sizes: list[tuple[int, int]]
    sides: list[float]
    classes: Mapping[str, int]
    labels: Mapping[str, Counter[str]]
    tasks: Mapping[str, Task]


@dataclass(frozen=True)
class Proposal:
    """Sizes and model.

    Args:
        image_size: height and width of the network's input.
        batch_size: pictures of a step.
        max_steps: optimiser steps.
        check_val_every_n_epoch: so that there are about 20 validations.
        cache: keep the resized pictures in memory.
        heads: class and arguments of each task's head.
        image_classes: classes of image-level tasks and boxes, to be written down.
    """

    image_size: tuple[int, int]
    batch_size: int
    max_steps: int
    check_val_every_n_epoch: int
    cache: bool
    heads: dict[str, tuple[str, dict[str, object]]]
    image_classes: dict[str, tuple[str, ...]]


def propose(found: Recognised, seen: Statistics, notes: list[str]) -> Proposal:
    """Choose sizes and heads.

    Args:
        found: what the folder holds.
        seen: what was measured.
        notes: receives what the user should look at.
    """
    local = any(kind in ("detection", "segmentation") for kind in found.tasks.values())
    size = _image_size(seen, local)
    batch = 8 if seen.num_train < 500 else 16 if seen.num_train < 5000 else 32
    batch = max(1, min(batch, seen.num_train))
    per_epoch = max(1, seen.num_train // batch)
    steps = int(min(20_000, max(1000, 100 * per_epoch)))
    steps = round(steps, -2)
    every = max(1, round(steps / per_epoch / 20))
    pixels = 3 * size[0] * size[1] * max(seen.num_train, 1) * 1.5
    heads = {name: _HEADS[kind] for name, kind in found.tasks.items() if kind in _HEADS}
    for name, counts in {"boxes": seen.classes, **seen.labels}.items():
        rare = [f"{cls} {number}" for cls, number in sorted(counts.items(), key=lambda item: item[1]) if number < _RARE]
        if rare and name in found.tasks:
            more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
            notes.append(f"few examples in train of {name}: {', '.join(rare[:5])}{more}.")
    notes += [f"{finding.text}, spelled in two ways." for finding in of_class_names(seen.tasks)]
    classes = {name: task.class_names for name, task in seen.tasks.items() if task.class_names}
    return Proposal(size, batch, steps, every, pixels < 2**30, dict(heads), classes)


def _image_size(seen: Statistics, local: bool) -> tuple[int, int]:
    """The usual proportions of the pictures; the longer side is as long as small boxes need."""
    height, width = (median(side) for side in zip(*seen.sizes, strict=True)) if seen.sizes else (_LONG, _LONG)
    long = _LONG if local else _CLASSES_LONG
    if seen.sides:
        small = float(np.quantile(seen.sides, 0.1))
        long = int(min(_MOST_LONG, max(_LONG, _SMALL_PX / small)))
    long = min(long, max(_STRIDE, int(max(height, width))))
    sides = [max(_STRIDE, round(side / max(height, width) * long / _STRIDE) * _STRIDE) for side in (height, width)]
    return sides[0], sides[1]
