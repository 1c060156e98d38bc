"""A config for a folder of pictures: data, splits, sizes and a model that trains at once, with comments."""

import os
from collections import Counter
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl.config.schema import find_class
from mtl.data.deep_pixels import DEEP_MODES, fits_default_range, likely_range
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.decoded import without_undecodable
from mtl.data.folder.findings import DataReport
from mtl.data.folder.image_labels import read_tables
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.packing import check_and_pack
from mtl.data.folder.splits import SPLITS
from mtl.data.folder.stratify import stratified_splits
from mtl.data.formats.format import sample
from mtl.data.formats.recognise import Recognised, recognise
from mtl.data.images import read_header, read_values
from mtl.data.module import JointDataModule
from mtl.evaluation.data.config_text import config_text
from mtl.evaluation.data.given_splits import given_splits, known_splits, tables_and_key
from mtl.evaluation.data.picture_groups import picture_groups
from mtl.evaluation.data.proposal import Proposal, Statistics, propose
from mtl.evaluation.data.trunk import SCRATCH, Trunk

FRACTIONS = (0.7, 0.15, 0.15)
_MOST_HEADERS = 500
_MOST_DEEP = 20  # pictures whose pixels are read
_MOST_NAMED = 5  # files in a note


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
    records, given = _labelled(found, data, records, given, notes)
    if all(given.get(split) for split in SPLITS):
        splits, counts = _own_way(found, data, given), {split: len(given[split]) for split in SPLITS}
    else:
        splits = _drawn(found, records, given, fractions, group, seed, notes)
        counts = {split: len(names) for split, names in splits.items()}
    _leave_tasks_of_no_use(found, records, given | splits, notes)
    if not found.init_args.get("image_tasks"):  # the table only held the splits
        for key in ("labels_csv", "labels_key"):
            found.init_args.pop(key, None)
    used = {name for chosen in (given, splits) for names in chosen.values() for name in names}
    if left := [record.name for record in records if record.name not in used]:
        notes.append(f"{len(left)} of {len(records)} pictures are in no split, and are left out: {_shown(left)}.")
    _set_pixel_range(found, records, notes)
    _set_ways_out(found, data, records, notes)
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
        notes.append(f"annotations of {len(names)} pictures are left out, as no file fits: {_shown(names)}.")


def _shown(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")


def _labelled(
    found: Recognised,
    data: FolderDataModule,
    records: list[AnnotatedImage],
    given: dict[str, list[str]],
    notes: list[str],
) -> tuple[list[AnnotatedImage], dict[str, list[str]]]:
    """The pictures that have a label, and the splits that hold one: test pictures of a competition have none."""
    rows = data.csv_labels.rows if data.csv_labels and found.open_tasks else {}  # they may hold another label
    labelled = [
        record
        for record in records
        if len(record.boxes)
        or record.labels
        or record.name in rows
        or any(file.is_file() for file in record.maps.values() if file)
    ]
    known = {record.name for record in labelled}
    given = {split: names for split, names in given.items() if not known.isdisjoint(names) or split == "train"}
    if "boxes" in found.tasks or not known or len(known) == len(records):  # one without boxes may have no objects
        return records, given
    left = [record.name for record in records if record.name not in known]
    notes.append(f"{len(left)} pictures have no label and are left out; `predict` reads them: {_shown(left)}.")
    return labelled, given


def _leave_tasks_of_no_use(
    found: Recognised, records: list[AnnotatedImage], splits: Mapping[str, list[str]], notes: list[str]
) -> None:
    """Propose no task without a label in train or val; `fit` refuses it."""
    specs = found.init_args.get("image_tasks", {})
    for task in list(specs):
        labelled = {record.name for record in records if task in record.labels}
        if empty := [split for split in ("train", "val") if labelled.isdisjoint(splits[split])]:
            notes.append(f"task {task} is left out: no picture in {' or '.join(empty)} has a label of it.")
            del specs[task], found.tasks[task]


def _set_pixel_range(found: Recognised, records: list[AnnotatedImage], notes: list[str]) -> None:
    """Propose the range of deep pixels that would be nearly black without it; `fit` refuses them."""
    deep: dict[str, list[NDArray[np.float64]]] = {}
    for record in sample_of(records):
        try:
            if (mode := read_header(record.path).mode) in DEEP_MODES and len(deep.get(mode, ())) < _MOST_DEEP:
                deep.setdefault(mode, []).append(read_values(record.path).ravel())
        except ValueError:
            continue
    ranges = [
        likely_range(values, mode)
        for mode, all_values in deep.items()
        if np.isfinite(values := np.concatenate(all_values)).any() and not fits_default_range(values, mode)
    ]
    if len(ranges) == 1:
        found.init_args["pixel_range"] = ranges[0]
        notes.append(f"pixels of more than 8 bits: black and white are probably {ranges[0][0]:g} and {ranges[0][1]:g}.")


def _set_ways_out(found: Recognised, data: FolderDataModule, records: list[AnnotatedImage], notes: list[str]) -> None:
    """Propose what lets a run start where `fit` would refuse pictures or boxes, and say which."""
    report = DataReport("new")
    range_ = found.init_args.get("pixel_range")
    checks = replace(data.checks, on_bad_box="clip", verify_images=True, pixel_range=range_)
    copies = [replace(record, boxes=record.boxes.copy(), maps=dict(record.maps)) for record in records]
    kept = without_undecodable({"train": copies}, data.root, checks, report)["train"]
    with suppress(ValueError):  # what no setting skips: `fit` and `check` say what to do
        check_and_pack(kept, "train", checks, report)
    undecodable = [*report.images("bad_image"), *report.images("bad_map")]
    outside = [*report.images("box_outside"), *data.data_report.images("bad_box")]
    for names, what, key, value, done in (
        (undecodable, "cannot be decoded", "on_bad_image", "skip", "left out"),
        (
            outside,
            "have boxes outside the picture or without numbers",
            "on_bad_box",
            "clip",
            "cut at the edge or left out",
        ),
    ):
        if names:
            found.init_args[key] = value
            notes.append(f"{len(names)} of the files {what}, and are {done} (`{key}: {value}`): {_shown(names)}.")


def _own_way(found: Recognised, data: FolderDataModule, given: dict[str, list[str]]) -> dict[str, list[str]]:
    """Files to write for splits that the data module does not read itself; none for `splits/*.txt` and its own."""
    if data.splits == "splits" and (found.root / "splits" / "train.txt").is_file():
        return {}
    if data.splits != "splits":
        found.init_args["splits"] = data.splits
        return {}
    try:
        names = [name for split in given.values() for name in split]
        own = known_splits(data.read_splits(names), names)
    except ValueError:
        own = {}
    return {} if own == given else dict(given)


def _drawn(
    found: Recognised,
    records: list[AnnotatedImage],
    given: dict[str, list[str]],
    fractions: tuple[float, float, float],
    group: str | None,
    seed: int,
    notes: list[str],
) -> dict[str, list[str]]:
    """All three splits: what is given stays as it is, the rest is drawn from the pictures left."""
    rows = _group_cells(found)
    groups = picture_groups(records, group, rows, notes)
    labels = {record.name: _labels(record) for record in records}
    if not given:
        notes.append("splits are drawn: every class has its share in each, near copies stay together.")
        return stratified_splits(labels, fractions, groups, seed)
    if "val" in given:
        notes.append("there are no test pictures: val is tested as well, so test numbers are too good.")
        return {**given, "test": list(given["val"])}
    share = fractions[1] / (fractions[0] + fractions[1])
    inside = {name: labels[name] for name in given["train"] if name in labels}
    drawn = stratified_splits(inside, (1 - share, share), groups, seed)
    if "test" in given:
        notes.append("val is drawn from the training pictures; test stays as it is.")
        return {**drawn, "test": given["test"]}
    notes.append("val and test are drawn from the training pictures.")
    return stratified_splits(inside, fractions, groups, seed)


def _group_cells(found: Recognised) -> dict[str, str]:
    if found.group_column is None:
        return {}
    rows = read_tables(*tables_and_key(found), [found.group_column])
    return {name: row.get(found.group_column, "").strip() for name, row in rows.items()}


def _labels(record: AnnotatedImage) -> list[Hashable]:
    own: list[Hashable] = [("boxes", name) for name in set(record.classes)]
    for task, value in record.labels.items():
        if isinstance(value, int | np.integer):
            own.append((task, int(value)))
        elif not isinstance(value, float):
            own += [(task, index) for index, there in enumerate(value) if there == 1]
    return own


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


def sample_of(records: list[AnnotatedImage]) -> list[AnnotatedImage]:
    """At most 500 records, spread evenly.

    Args:
        records: all of them.
    """
    chosen = set(sample([record.name for record in records], _MOST_HEADERS))
    return [record for record in records if record.name in chosen]


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
