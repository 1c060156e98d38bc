"""A config for a folder of pictures: data, splits, sizes and a model that trains at once, with comments."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mtl.config.schema import find_class
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.findings import DataReport
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.splits import SPLITS
from mtl.data.formats.recognise import Recognised, recognise
from mtl.data.images import read_header
from mtl.data.module import JointDataModule
from mtl.evaluation.data.config_text import config_text
from mtl.evaluation.data.drawn_splits import drawn_splits, splits_to_write
from mtl.evaluation.data.given_splits import given_splits
from mtl.evaluation.data.proposal import Proposal, Statistics, propose
from mtl.evaluation.data.trunk import SCRATCH, Trunk
from mtl.evaluation.data.ways_out import (
    labelled_pictures,
    leave_tasks_of_no_use,
    sample_of,
    set_pixel_range,
    set_ways_out,
    shown,
)

FRACTIONS = (0.7, 0.15, 0.15)


@dataclass
class NewConfig:
    """What `new` writes.

    Args:
        recognised: what the folder holds.
        proposal: sizes and model.
        splits: names by split where files must be written; empty where the data define all three.
        counts: pictures by split.
        notes: what the user should know.
    """

    recognised: Recognised
    proposal: Proposal
    splits: dict[str, list[str]]
    counts: dict[str, int]
    notes: list[str] = field(default_factory=list)


def new_config(
    root: Path, fractions: tuple[float, float, float] = FRACTIONS, group: str | None = None, seed: int = 0
) -> NewConfig:
    """Look at a folder and propose a config.

    Args:
        root: the folder.
        fractions: shares of train, val and test, where the folder defines no splits.
        group: regular expression; pictures whose names have the same first group, or the same match, stay together.
        seed: of the splits.

    Raises:
        ValueError: if the folder holds nothing that is known, or its annotations are damaged.
    """
    found = recognise(root)
    data, records = _read(found)
    if not records:
        raise ValueError(f"{root!s} has annotations ({', '.join(found.formats)}), but none of their pictures is there.")
    notes = list(found.notes)
    _say_what_is_not_there(data, notes)
    given = given_splits(found, data, {record.name: record.path for record in records})
    records, given = labelled_pictures(found, data, records, given, notes)
    if all(given.get(split) for split in SPLITS):
        splits, counts = splits_to_write(found, data, given), {split: len(given[split]) for split in SPLITS}
    else:
        splits = drawn_splits(found, records, given, fractions, group, seed, notes)
        counts = {split: len(names) for split, names in splits.items()}
    leave_tasks_of_no_use(found, records, given | splits, notes)
    if not found.init_args.get("image_tasks"):  # the table only held the splits
        for key in ("labels_csv", "labels_key"):
            found.init_args.pop(key, None)
    used = {name for chosen in (given, splits) for names in chosen.values() for name in names}
    if left := [record.name for record in records if record.name not in used]:
        notes.append(f"{len(left)} of {len(records)} pictures are in no split, and are left out: {shown(left)}.")
    set_pixel_range(found, records, notes)
    set_ways_out(found, data, records, notes)
    statistics = _statistics(records, data, given.get("train") or splits.get("train") or [])
    return NewConfig(found, propose(found, statistics, notes), splits, counts, notes)


def _read(found: Recognised) -> tuple[FolderDataModule, list[AnnotatedImage]]:
    """The data module, and the records of all pictures with their labels."""
    cls = find_class(found.class_path, JointDataModule)
    assert cls is not None
    assert issubclass(cls, FolderDataModule)
    skip: dict[str, Any] = {"on_bad_box": "skip", "on_unknown_class": "skip", "on_bad_image": "skip"}
    data = cls(root=str(found.root), **found.init_args, **skip)
    names = data.names()
    records = []
    for record in map(data.record, names):
        if record.path.is_file():
            records.append(record)
        else:
            data.data_report.add("missing_image", "", record.name, f"no file {record.path.name}", "skipped")
    if data.csv_labels:
        data.csv_labels.read(names, DataReport("new"))
        data.csv_labels.add_to(records, "", DataReport("new"))
    for record in records:
        record.maps = {task: files.file(data.root, record.name) for task, files in data.map_tasks.items()}
    return data, records


def _say_what_is_not_there(data: FolderDataModule, notes: list[str]) -> None:
    """Annotations without a picture: half a data set may be missing, and the other half trains without a word."""
    report = data.data_report
    if names := [*report.images("missing_image"), *report.images("annotation_without_image")]:
        notes.append(f"annotations of {len(names)} pictures are left out, as no file fits: {shown(names)}.")


def _statistics(records: list[AnnotatedImage], data: FolderDataModule, train: list[str]) -> Statistics:
    sizes, sides = [], []
    for record in sample_of(records):
        try:
            header = read_header(record.path)
        except ValueError:
            continue
        sizes.append((header.height, header.width))
        if len(record.boxes):
            sides += list((record.boxes[:, 2:] - record.boxes[:, :2]).min(1) / max(header.height, header.width))
    inside = set(train)
    mine = [record for record in records if record.name in inside] or records
    classes = Counter(name for record in mine for name in record.classes)
    labels: dict[str, Counter[str]] = {}
    for record in mine:
        for task, value in record.labels.items():
            if isinstance(value, int | np.integer) and task in data.tasks:
                labels.setdefault(task, Counter())[data.tasks[task].class_name(int(value))] += 1
    return Statistics(
        len(mine), sizes, [float(side) for side in sides if side > 0], classes, dict(labels), dict(data.tasks)
    )


def write_new(found: NewConfig, to: Path, root: Path, trunk: Trunk = SCRATCH) -> list[Path]:
    """Write the config, and files of splits where the data define none, in a folder beside it.

    Args:
        found: what `new_config` proposes.
        to: the config.
        root: folder of the data, as the config is to name it.
        trunk: the backbone of the config.

    Returns:
        The files.

    Raises:
        FileExistsError: if one of them is there.
    """
    folder = to.parent / f"{to.stem}_splits"
    files = [to, *(folder / f"{split}.txt" for split in found.splits)]
    for file in files:
        if os.path.lexists(file):
            raise FileExistsError(f"{str(file)!r} is there already. Give --to another name, or remove it.")
    place = Path(os.path.relpath(folder, root))
    if root.is_absolute() or (root / place).resolve() != folder.resolve():  # `..` of a link leads elsewhere
        place = Path(os.path.abspath(folder))
    splits = place.as_posix() if found.splits else None
    text = config_text(found.recognised, found.proposal, root, splits, found.notes, to, trunk)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(text, encoding="utf-8")
    for split, names in found.splits.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return files
