"""From what a source says about pictures to checked arrays: `Record` -> `pack` -> `Annotations`.

Annotations are a few flat arrays with offsets, not one Python object per picture: worker processes share their pages
instead of copying them as reference counts change.
Shapes: N pictures, T boxes of all pictures, n boxes of one picture.
"""

import filecmp
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtl.data.images import Header, read_header, read_image
from mtl.data.report import DataReport
from mtl.errors import did_you_mean

OnBadBox = Literal["error", "skip", "clip"]
OnUnknownClass = Literal["error", "skip"]

_ROUNDING_PX = 1.0  # a box may reach this far over the border by rounding; it is clipped and reported
_TINY_PX2 = 16.0  # smaller boxes are reported: usually slips of the mouse
_DOUBLED_IOU = 0.9


def no_boxes() -> NDArray[np.float64]:
    """An empty array of boxes, [0,4]."""
    return np.zeros((0, 4))


@dataclass
class Record:
    """One picture as a source describes it; lives only until it is packed.

    Args:
        name: its name in splits and tables.
        path: the picture's file.
        boxes: xyxy px of the upright file, the first pixel spans 0..1, [n,4].
        classes: class names of the boxes.
        annotated: whether somebody looked for boxes; without boxes this says "there are none".
        declared: height and width that the annotation states.
        labels: image-level labels that the source itself gives, by task.
        mask: file of a segmentation map.
    """

    name: str
    path: Path
    boxes: NDArray[np.float64] = field(default_factory=no_boxes)
    classes: list[str] = field(default_factory=list)
    annotated: bool = True
    declared: tuple[int, int] | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    mask: Path | None = None


@dataclass(frozen=True)
class Annotations:
    """Everything about the pictures of one split, as arrays.

    Args:
        names: names of the pictures, UTF-8 bytes [N].
        paths: their files, UTF-8 bytes [N].
        masks: files of segmentation maps, UTF-8 bytes [N]; empty where there is none.
        sizes: height and width of the upright files, [N,2].
        annotated: whether boxes were looked for, [N].
        offsets: boxes of picture i are rows offsets[i] to offsets[i + 1], [N+1].
        boxes: xyxy px of the upright files, float32 [T,4].
        labels: class index of every box, int64 [T].
    """

    names: NDArray[np.bytes_]
    paths: NDArray[np.bytes_]
    masks: NDArray[np.bytes_]
    sizes: NDArray[np.int64]
    annotated: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Checks:
    """What to do about faults in the data.

    Args:
        box_classes: class names of boxes in the order of their index.
        on_bad_box: what to do with a box more than one pixel outside its picture.
        on_unknown_class: what to do with a box of a class that is not listed.
        verify_images: decode every picture once instead of reading its header only.
    """

    box_classes: tuple[str, ...]
    on_bad_box: OnBadBox = "error"
    on_unknown_class: OnUnknownClass = "error"
    verify_images: bool = False


def pack(records: Iterable[Record], split: str, checks: Checks, report: DataReport) -> tuple[list[Record], Annotations]:
    """Check the records of one split and pack them into arrays; a record without its picture is left out.

    Args:
        records: what the source says.
        split: name of the split, for the report.
        checks: what to do about faults.
        report: takes every finding.

    Returns:
        The records that remain, in order, and their arrays.

    Raises:
        ValueError: for pictures that cannot be decoded, unknown classes, and boxes outside their picture.
    """
    class_index = {name: index for index, name in enumerate(checks.box_classes)}
    kept, sizes, boxes, labels = [], [], [no_boxes()], [np.zeros(0, np.int64)]
    for record in records:
        if not record.path.is_file():
            report.add("missing_image", split, record.name, f"no file {record.path.name}", "skipped")
            continue
        header = read_header(record.path)
        if checks.verify_images:
            read_image(record.path)
        _check_header(record, header, split, report)
        good = _known_classes(record, class_index, split, checks, report)
        found = _check_boxes(record, good, header, split, checks, report)
        kept.append(record)
        sizes.append((header.height, header.width))
        boxes.append(record.boxes[found])
        labels.append(np.array([class_index[record.classes[i]] for i in found], np.int64))
    return kept, Annotations(
        names=_bytes([record.name for record in kept]),
        paths=_bytes([str(record.path) for record in kept]),
        masks=_bytes([str(record.mask or "") for record in kept]),
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        annotated=np.array([record.annotated for record in kept], bool),
        offsets=np.cumsum([len(rows) for rows in labels], dtype=np.int64),
        boxes=np.concatenate(boxes).astype(np.float32),
        labels=np.concatenate(labels),
    )


def report_duplicates(splits: Mapping[str, Annotations], report: DataReport) -> None:
    """Report pictures whose files are the same byte for byte, and names that stand in two splits.

    Args:
        splits: the packed splits.
        report: takes the findings.
    """
    by_size: dict[int, list[tuple[str, str, Path]]] = {}
    seen: dict[str, str] = {}
    for split, annotations in splits.items():
        for name, file in zip(annotations.names, annotations.paths, strict=True):
            path, text = Path(file.decode()), name.decode()
            if text in seen:
                report.add("in_two_splits", split, text, f"also in {seen[text]}", "kept")
            else:
                seen[text] = split
                by_size.setdefault(path.stat().st_size, []).append((split, text, path))
    for group in (group for group in by_size.values() if len(group) > 1):
        starts: dict[bytes, tuple[str, str, Path]] = {}
        for split, text, path in group:
            with path.open("rb") as opened:
                start = opened.read(4096)
            first = starts.setdefault(start, (split, text, path))
            if first[2] != path and filecmp.cmp(first[2], path, shallow=False):
                report.add("duplicate_image", split, text, f"same bytes as {first[1]} ({first[0]})", "kept")


def _check_header(record: Record, header: Header, split: str, report: DataReport) -> None:
    if record.declared and record.declared != (header.height, header.width):
        detail = "{}x{}".format(*record.declared) + f" declared, the file is {header.height}x{header.width}"
        report.add("size_differs", split, record.name, detail, "kept")
    if header.mode != "RGB":
        report.add("not_rgb", split, record.name, f"{header.mode}, read as RGB", "kept")
    if header.orientation != 1:
        report.add("exif_orientation", split, record.name, f"{header.orientation}, read upright", "kept")
    if record.mask is not None:
        _check_mask(record, header, split, report)
    if not record.annotated:
        report.add("no_annotation", split, record.name, "", "not labelled")
    elif not len(record.boxes):
        report.add("no_objects", split, record.name, "annotated, without a box", "kept")


def _check_mask(record: Record, header: Header, split: str, report: DataReport) -> None:
    assert record.mask is not None
    if not record.mask.is_file():
        report.add("missing_mask", split, record.name, f"no file {record.mask.name}", "not labelled")
        record.mask = None
        return
    mask = read_header(record.mask)
    if (mask.height, mask.width) != (header.height, header.width):
        detail = f"{mask.height}x{mask.width}, the picture is {header.height}x{header.width}"
        report.add("mask_size_differs", split, record.name, detail, "not labelled")
        record.mask = None


def _known_classes(
    record: Record, class_index: Mapping[str, int], split: str, checks: Checks, report: DataReport
) -> list[int]:
    known = []
    for i, name in enumerate(record.classes):
        if name in class_index:
            known.append(i)
        elif checks.on_unknown_class == "skip":
            report.add("unknown_class", split, record.name, name, "skipped")
        else:
            raise ValueError(
                f"picture {record.name!r} has a box of class {name!r}, which is not in box_classes: "
                f"{', '.join(class_index)}.{did_you_mean(name, class_index)} "
                "Add the class to box_classes, or leave its boxes out with on_unknown_class: skip."
            )
    return known


def _check_boxes(
    record: Record, rows: list[int], header: Header, split: str, checks: Checks, report: DataReport
) -> list[int]:
    """Rows of boxes that remain; clipped ones are changed in place."""
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
            if checks.on_bad_box == "error":
                raise ValueError(
                    f"picture {record.name!r} ({header.width} x {header.height} px) has a box outside it: {detail}. "
                    "Correct the annotation, or set on_bad_box: clip (keep the part inside) or skip (leave it out)."
                )
            if checks.on_bad_box == "skip" or not (inside[2:] > inside[:2]).all():
                report.add("box_outside", split, record.name, detail, "skipped")
                continue
        if over > 0:
            report.add("box_outside", split, record.name, detail, "clipped")
            record.boxes[i] = inside
        if np.prod(inside[2:] - inside[:2]) < _TINY_PX2:
            report.add("tiny_box", split, record.name, detail, "kept")
        kept.append(i)
    _report_doubled(record, kept, split, report)
    return kept


def _report_doubled(record: Record, rows: list[int], split: str, report: DataReport) -> None:
    boxes = record.boxes[rows]
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), -1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], -1)
    iou = common / (area[:, None] + area - common)
    for a, b in np.argwhere(np.triu(iou > _DOUBLED_IOU, 1)):
        first, second = record.classes[rows[a]], record.classes[rows[b]]
        if first == second:
            detail = f"{first} {boxes[a].round(1).tolist()} / {boxes[b].round(1).tolist()}"
            report.add("doubled_box", split, record.name, detail, "kept")


def _bytes(texts: list[str]) -> NDArray[np.bytes_]:
    # one block of memory; NumPy's bytes would lose trailing zero bytes, which no path has
    return np.array([text.encode() for text in texts], dtype=np.bytes_)
