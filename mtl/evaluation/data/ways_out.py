"""What `new` leaves out or sets so that a run starts: pictures and tasks without labels, deep pixels, damaged files."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mtl.data.deep_pixels import DEEP_MODES, fits_default_range, likely_range
from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.decoded import without_undecodable
from mtl.data.folder.findings import DataReport
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.packing import check_and_pack
from mtl.data.formats.format import sample
from mtl.data.formats.recognise import Recognised
from mtl.data.images import read_header, read_values

_MOST_HEADERS = 500
_MOST_DEEP = 20  # pictures whose pixels are read
_MOST_NAMED = 5  # files in a note


def labelled_pictures(
    found: Recognised,
    data: FolderDataModule,
    records: list[AnnotatedImage],
    given: dict[str, list[str]],
    notes: list[str],
) -> tuple[list[AnnotatedImage], dict[str, list[str]]]:
    """The pictures that have a label, and the splits that hold one: test pictures of a competition have none.

    Args:
        found: what the folder holds.
        data: its data module.
        records: all pictures.
        given: the splits that the folder defines.
        notes: what the user should know; one is added.
    """
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
    notes.append(f"{len(left)} pictures have no label and are left out; `predict` reads them: {shown(left)}.")
    return labelled, given


def leave_tasks_of_no_use(
    found: Recognised, records: list[AnnotatedImage], splits: Mapping[str, list[str]], notes: list[str]
) -> None:
    """Propose no task without a label in train or val; `fit` refuses it.

    Args:
        found: what the folder holds; changed in place.
        records: all pictures.
        splits: names by split.
        notes: what the user should know; one is added.
    """
    specs = found.init_args.get("image_tasks", {})
    for task in list(specs):
        labelled = {record.name for record in records if task in record.labels}
        if empty := [split for split in ("train", "val") if labelled.isdisjoint(splits[split])]:
            notes.append(f"task {task} is left out: no picture in {' or '.join(empty)} has a label of it.")
            del specs[task], found.tasks[task]


def set_pixel_range(found: Recognised, records: list[AnnotatedImage], notes: list[str]) -> None:
    """Propose the range of deep pixels that would be nearly black without it; `fit` refuses them.

    Args:
        found: what the folder holds; changed in place.
        records: all pictures.
        notes: what the user should know; one is added.
    """
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


def set_ways_out(found: Recognised, data: FolderDataModule, records: list[AnnotatedImage], notes: list[str]) -> None:
    """Propose what lets a run start where `fit` would refuse pictures or boxes, and say which.

    Args:
        found: what the folder holds; changed in place.
        data: its data module.
        records: all pictures.
        notes: what the user should know; some are added.
    """
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
            notes.append(f"{len(names)} of the files {what}, and are {done} (`{key}: {value}`): {shown(names)}.")


def sample_of(records: list[AnnotatedImage]) -> list[AnnotatedImage]:
    """At most 500 records, spread evenly.

    Args:
        records: all of them.
    """
    chosen = set(sample([record.name for record in records], _MOST_HEADERS))
    return [record for record in records if record.name in chosen]


def shown(names: list[str]) -> str:
    """The first names of files.

    Args:
        names: all of them.
    """
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
