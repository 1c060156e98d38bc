"""`check_and_pack`: check records and pack them into arrays.

Shapes: N pictures, T boxes of all pictures, n boxes of one picture.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl.data.deep_pixels import DEEP_MODES, fits_default_range, likely_range
from mtl.data.folder.annotations import AnnotatedImage, Annotations, Checks, no_boxes
from mtl.data.folder.duplicates import doubled_boxes
from mtl.data.folder.findings import DataReport
from mtl.data.folder.picture_names import is_file
from mtl.data.images import SIDEWAYS, Header, read_header, read_values, turn_boxes
from mtl.errors import did_you_mean
from mtl.targets.detection import ignored

_DECIMALS_PX = 0.05  # a share with five or six decimals is as wrong as this; clipped, and not worth a report
_ROUNDING_PX = 1.0  # rounding may move a box this far beyond the border; it is clipped and reported
_MOST_DOUBLED = 1000  # pairs to report in one picture: 10,000 equal boxes make 50,000,000
_MOST_MEASURED = 16  # pictures of more than 8 bits that are read for the range of their values
_TINY_PX2 = 16.0  # smaller boxes are reported; they are usually slips of the mouse


def check_and_pack(
    records: Iterable[AnnotatedImage], split: str, checks: Checks, report: DataReport
) -> tuple[list[AnnotatedImage], Annotations]:
    """Check the records of one split and pack them into arrays; records without a picture file are skipped.

    Args:
        records: the annotations of the split's pictures.
        split: name of the split, for the report.
        checks: how to handle faults.
        report: receives the findings.

    Returns:
        The remaining records, in order, and their arrays.

    Raises:
        ValueError: for pictures that cannot be decoded or are too large, unknown classes, boxes outside their picture,
            and boxes that are not in pixels.
    """
    class_index = {name: index for index, name in enumerate(checks.box_classes)}
    kept, sizes, boxes, labels = [], [], [no_boxes()], [np.zeros(0, np.int64)]
    deep: list[tuple[Path, str]] = []
    for record in records:
        if not is_file(record.path):
            report.add("missing_image", split, record.name, f"no file {record.path.name}", "skipped")
            continue
        header = read_header(record.path, checks.max_pixels)
        _check_header(record, header, split, checks, report)
        record = _on_upright(record, header, checks)
        known = _known_classes(record, class_index, split, checks, report)
        valid = _check_boxes(record, known, header, split, checks, report)
        if header.mode in DEEP_MODES:
            deep.append((record.path, header.mode))
        kept.append(record)
        sizes.append((header.height, header.width))
        boxes.append(record.boxes[valid])
        indices = [class_index[record.classes[i]] for i in valid]
        indices = [ignored(index) if i in record.ignored else index for i, index in zip(valid, indices, strict=True)]
        labels.append(np.array(indices, np.int64))
    _check_units(boxes, split, kept)
    _check_range(deep, split, checks)
    tasks = dict.fromkeys(task for record in kept for task in record.maps)
    return kept, Annotations(
        names=_bytes([record.name for record in kept]),
        paths=_bytes([str(record.path) for record in kept]),
        maps={task: _bytes([str(record.maps.get(task, "")) for record in kept]) for task in tasks},
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        annotated=np.array([record.annotated for record in kept], bool),
        offsets=np.cumsum([len(rows) for rows in labels], dtype=np.int64),
        boxes=np.concatenate(boxes).astype(np.float32),
        labels=np.concatenate(labels),
    )


def _check_header(record: AnnotatedImage, header: Header, split: str, checks: Checks, report: DataReport) -> None:
    if record.declared and record.declared != (header.height, header.width):
        detail = "{}x{}".format(*record.declared) + f" declared, the file is {header.height}x{header.width}"
        report.add("size_differs", split, record.name, detail, "kept")
    if header.mode != "RGB":
        report.add("not_rgb", split, record.name, f"{header.mode}, read as RGB", "kept")
    if header.orientation != 1:
        report.add("exif_orientation", split, record.name, f"{header.orientation}, read upright", "kept")
    for task in list(record.maps):
        _check_map(record, task, header, split, checks, report)
    if not record.annotated and checks.box_classes:
        report.add("no_annotation", split, record.name, "", "not labelled")
    elif record.annotated and len(record.boxes) == len(record.ignored):
        report.add("no_objects", split, record.name, "annotated, without a box", "kept")


def _check_map(
    record: AnnotatedImage, task: str, header: Header, split: str, checks: Checks, report: DataReport
) -> None:
    path = record.maps[task]
    if not is_file(path):
        report.add("missing_map", split, record.name, f"no file {path.name}", "not labelled")
        del record.maps[task]
        return
    found = read_header(path, checks.max_pixels)
    if (found.height, found.width) != (header.height, header.width):
        detail = f"{found.height}x{found.width}, the picture is {header.height}x{header.width}"
        report.add("map_size_differs", split, record.name, detail, "not labelled")
        del record.maps[task]


def _on_upright(record: AnnotatedImage, header: Header, checks: Checks) -> AnnotatedImage:
    """The record with its boxes in coordinates of the upright picture."""
    stored = (header.width, header.height) if header.orientation in SIDEWAYS else (header.height, header.width)
    if header.orientation == 1 or not len(record.boxes):
        return record
    if checks.boxes_on is None and stored != (header.height, header.width) and record.declared == stored:
        raise ValueError(
            f"picture {record.name!r} is stored sideways ({stored[1]} x {stored[0]} px); its EXIF orientation "
            f"{header.orientation} rotates it to {header.width} x {header.height}. Its annotation declares the stored "
            "size, so its boxes may refer to the stored pixels. Check one picture, and set boxes_on: stored (boxes are "
            "rotated with the picture) or boxes_on: upright."
        )
    if checks.boxes_on != "stored":
        return record
    return replace(record, boxes=turn_boxes(record.boxes, header.orientation, *stored))


def _check_units(boxes: list[NDArray[np.float64]], split: str, records: list[AnnotatedImage]) -> None:
    sides = np.concatenate([rows[:, 2:] - rows[:, :2] for rows in boxes])
    if len(sides) and (sides <= 1).all() and (sides < 1).any():
        first = next(record for record, rows in zip(records, boxes[1:], strict=True) if len(rows))
        raise ValueError(
            f"all {len(sides)} boxes of split {split!r} are smaller than one pixel, for example in picture "
            f"{first.name!r}: {first.boxes[0].tolist()}. They seem to be fractions of the picture's width and height; "
            "convert boxes to pixels."
        )


def _check_range(pictures: list[tuple[Path, str]], split: str, checks: Checks) -> None:
    """Refuse pictures that the default range would make nearly black or white; some of them are read."""
    if checks.pixel_range is not None:
        return
    for mode in dict.fromkeys(mode for _, mode in pictures):
        paths = [path for path, other in pictures if other == mode]
        chosen = paths[:: -(-len(paths) // _MOST_MEASURED)]
        values = np.concatenate([read_values(path, checks.max_pixels).ravel() for path in chosen])
        if not np.isfinite(values).any():
            raise ValueError(f"picture {str(chosen[0])!r} holds no number. Replace the file, or remove it.")
        if not fits_default_range(values, mode):
            least, most = (f"{value + 0.0:g}" for value in (np.nanmin(values), np.nanmax(values)))
            raise ValueError(
                f"{len(paths)} pictures of split {split!r} have pixels of more than 8 bits ({mode}), with values from "
                f"{least} to {most}, for example {str(chosen[0])!r}; read as usual they would be nearly black or "
                f"white. Set data.init_args.pixel_range to the values of black and white, probably "
                "[{:.17g}, {:.17g}].".format(*likely_range(values, mode))
            )


def _known_classes(
    record: AnnotatedImage, class_index: Mapping[str, int], split: str, checks: Checks, report: DataReport
) -> list[int]:
    known = []
    for i, name in enumerate(record.classes):
        if name in class_index:
            known.append(i)
        elif checks.on_unknown_class == "skip" or i in record.ignored:
            report.add("unknown_class", split, record.name, name, "skipped")
        else:
            raise ValueError(
                f"picture {record.name!r} has a box of class {name!r}, which is not in box_classes: "
                f"{', '.join(class_index)}.{did_you_mean(name, class_index)} "
                f"Add the class to box_classes, or skip its boxes with on_unknown_class: skip.{_source(record)}"
            )
    return known


def _check_boxes(
    record: AnnotatedImage, rows: list[int], header: Header, split: str, checks: Checks, report: DataReport
) -> list[int]:
    """Rows of the valid boxes; clips boxes in place."""
    limit = np.array([header.width, header.height] * 2)
    kept = []
    for i in rows:
        box = record.boxes[i]
        detail = f"{record.classes[i]} " + " ".join(f"{value:g}" for value in box)
        if not (np.isfinite(box).all() and (box[2:] > box[:2]).all()):
            report.add("empty_box", split, record.name, detail, "skipped")
            continue
        inside = np.clip(box, 0, limit)
        over = np.abs(inside - box).max()
        if over > _ROUNDING_PX or not (inside[2:] > inside[:2]).all():
            action = "clip" if i in record.ignored else checks.on_bad_box
            if action == "error":
                raise ValueError(
                    f"picture {record.name!r} ({header.width} x {header.height} px) has a box outside it: {detail}. "
                    "Correct the annotation, or set on_bad_box: clip (keep the part inside) or skip (drop the box)."
                    f"{_source(record)}"
                )
            if action == "skip" or not (inside[2:] > inside[:2]).all():
                report.add("box_outside", split, record.name, detail, "skipped")
                continue
        if over > _DECIMALS_PX:
            report.add("box_outside", split, record.name, detail, "clipped")
        record.boxes[i] = inside
        if np.prod(inside[2:] - inside[:2]) < _TINY_PX2:
            report.add("tiny_box", split, record.name, detail, "kept")
        kept.append(i)
    for a, b in islice(doubled_boxes(record.boxes[kept], [record.classes[i] for i in kept]), _MOST_DOUBLED):
        both = f"{record.boxes[kept[a]].round(1).tolist()} / {record.boxes[kept[b]].round(1).tolist()}"
        report.add("doubled_box", split, record.name, f"{record.classes[kept[a]]} {both}", "kept")
    return kept


def _source(record: AnnotatedImage) -> str:
    return f" The annotation is in {record.source!r}." if record.source else ""


def _bytes(texts: list[str]) -> NDArray[np.bytes_]:
    # one block of memory; NumPy's bytes drop trailing zero bytes, which no path has
    try:
        return np.array([text.encode() for text in texts], dtype=np.bytes_)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the name of file {error.object!a} is not UTF-8, so no table can hold it. Rename the file; `convmv` "
            "does it for whole folders."
        ) from error
