"""Read one LabelMe JSON file: rectangles, polygons, circles and masks as the boxes around them.

Source: https://github.com/wkentaro/labelme, whose files have the list `shapes`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtl.data.folder.annotations import AnnotatedImage, Checks
from mtl.data.folder.files.declared import declared_size, plain_label
from mtl.data.folder.files.text_files import check_annotation, read_text
from mtl.data.folder.findings import DataReport
from mtl.errors import printable

_WITHOUT_AREA = ("point", "points", "line", "linestrip")


def read_labelme(
    name: str, picture: Path, annotation: Path | None, checks: Checks, report: DataReport
) -> AnnotatedImage:
    """The record of one picture and its JSON file.

    Args:
        name: name of the picture.
        picture: file of the picture.
        annotation: its JSON file; without one, the picture is not annotated.
        checks: how to handle a shape without points or without a label.
        report: receives the skipped shapes; points and lines have no area and are skipped always.

    Raises:
        ValueError: if the file is no LabelMe JSON, or a shape has no box or label and `checks` does not skip it.
    """
    if annotation is None:
        return AnnotatedImage(name, picture, annotated=False)
    document = labelme_document(annotation)
    boxes: list[list[float]] = []
    classes: list[str] = []
    for number, shape in enumerate(document["shapes"], start=1):
        where = f"annotation {str(annotation)!r}: shape {number}"
        label, kind = plain_label(shape.get("label")), str(shape.get("shape_type") or "polygon")
        if kind in _WITHOUT_AREA:
            report.add("shape_without_area", "", name, f"{kind} {label}", "skipped")
            continue
        if not label and checks.on_unknown_class == "error":
            raise ValueError(f"{where} has no label. Write its class, or skip such shapes with on_unknown_class: skip.")
        if (box := _box_around(shape.get("points"), kind)) is None:
            points = printable(repr(shape.get("points")), 80)
            checks.refuse_box(f"{where} ({kind} {label}) has the points {points}, and no box", name, report)
            continue
        boxes.append(box)
        classes.append(label)
    return AnnotatedImage(
        name,
        picture,
        boxes=np.array(boxes).reshape(-1, 4),
        classes=classes,
        declared=declared_size(document.get("imageHeight"), document.get("imageWidth")),
        source=str(annotation),
    )


def labelme_document(file: Path) -> dict[str, Any]:
    """The content of a LabelMe file.

    Args:
        file: the file.

    Raises:
        ValueError: if it is missing, or no LabelMe JSON.
    """
    check_annotation(file)
    text = read_text(file)
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
            raise ValueError("it has no list `shapes`")
        if not all(isinstance(shape, dict) for shape in document["shapes"]):
            raise ValueError("a shape is no object")
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"annotation {str(file)!r} is no LabelMe file ({error}). Correct it, or remove it: then its picture is not "
            "annotated."
        ) from error
    return document


def labels_in(document: Mapping[str, Any]) -> set[str]:
    """The labels of the shapes that have an area.

    Args:
        document: content of a LabelMe file.
    """
    shapes = [shape for shape in document["shapes"] if shape.get("shape_type") not in _WITHOUT_AREA]
    return {plain_label(shape.get("label")) for shape in shapes} - {""}


def _box_around(points: Any, kind: str) -> list[float] | None:
    """The box xyxy around the points of a shape; of a circle, these are its center and a point on it."""
    try:
        xs, ys = zip(*((float(x), float(y)) for x, y in points), strict=True)
    except (TypeError, ValueError, OverflowError):
        return None
    if len(xs) < 2 or not all(map(math.isfinite, (*xs, *ys))):
        return None
    if kind == "circle":
        radius = math.dist((xs[0], ys[0]), (xs[1], ys[1]))
        return [xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius]
    return [min(xs), min(ys), max(xs), max(ys)]
