"""Duplicates in a data set: pictures in two files or two splits, and boxes annotated twice."""

import filecmp
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl.data.folder.annotations import Annotations
from mtl.data.folder.findings import DataReport

_DOUBLED_IOU = 0.9
_ROWS = 256  # boxes compared with all others at a time


def report_duplicates(splits: Mapping[str, Annotations], report: DataReport) -> None:
    """Report pictures with byte-identical files, and names that are in two splits.

    Args:
        splits: the packed splits.
        report: receives the findings.
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


def doubled_boxes(boxes: NDArray[np.float64], classes: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of boxes of the same class with an IoU above 0.9.

    Args:
        boxes: xyxy px of one picture, each with an area above 0, [n,4].
        classes: their class names.
    """
    area = np.prod(boxes[:, 2:] - boxes[:, :2], -1)
    # some rows at a time: all pairs of a picture with 10,000 boxes would take gigabytes
    for start in range(0, len(boxes), _ROWS):
        rows, others = boxes[start : start + _ROWS], boxes[start:]
        low = np.maximum(rows[:, None, :2], others[None, :, :2])
        high = np.minimum(rows[:, None, 2:], others[None, :, 2:])
        common = np.prod(np.clip(high - low, 0, None), -1)
        iou = common / (area[start : start + _ROWS, None] + area[None, start:] - common)
        for a, b in np.argwhere(np.triu(iou > _DOUBLED_IOU, 1)) + start:
            if classes[a] == classes[b]:
                yield int(a), int(b)
