"""Read a CreateML JSON file: a list of pictures with boxes in pixels, or in shares.

Source: Apple, "Building an object detector data source", Create ML documentation.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mtl.data.folder.annotations import Checks
from mtl.data.folder.files.box_rows import BoxUnit, guess_unit
from mtl.data.folder.files.declared import plain_label
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.files.text_files import read_text
from mtl.data.folder.findings import DataReport
from mtl.errors import printable

Origin = Literal["center", "top_left"]
_PICTURES = ("image", "imagefilename", "filename")
_BOXES = ("annotations", "annotation")
_SIDES = ("x", "y", "width", "height")


def createml_entries(file: Path) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The picture and the annotations of every entry.

    Args:
        file: the JSON file.

    Raises:
        ValueError: if it is missing or no CreateML JSON.
    """
    if not file.is_file():
        raise ValueError(f"no CreateML file {str(file)!r}. Correct `annotations` or `root`.")
    text = read_text(file)
    try:
        document = json.loads(text)
        if not isinstance(document, list):
            raise ValueError("it is no list of pictures")
        return [_entry(entry, number) for number, entry in enumerate(document)]
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{str(file)!r} is no CreateML file ({error}). It needs a list of objects with `image` and `annotations`. "
            "Correct it, or set another file in `annotations`."
        ) from error


def _entry(entry: Any, number: int) -> tuple[str, list[Mapping[str, Any]]]:
    picture = next((entry[key] for key in _PICTURES if key in entry), None) if isinstance(entry, dict) else None
    if not isinstance(picture, str) or not picture.strip():
        raise ValueError(f"entry {number} is {printable(repr(entry), 80)} and names no picture in `image`")
    boxes: Any = next((entry[key] for key in _BOXES if key in entry), [])
    if not isinstance(boxes, list) or not all(isinstance(box, dict) for box in boxes):
        raise ValueError(f"the annotations of {picture!r} are no list of objects")
    return picture, boxes


def read_createml(
    file: Path, origin: Origin, unit: BoxUnit | None, checks: Checks, report: DataReport
) -> list[ListedPicture]:
    """The pictures of a CreateML JSON file, in its order.

    Args:
        file: the JSON file.
        origin: what x and y of a box are: its center, or its corner at the top left.
        unit: of the boxes; None: shares if no number is larger than a share can be.
        checks: how to handle faults.
        report: receives what is skipped.

    Raises:
        ValueError: if the file is no CreateML JSON, or a box has no label or no four numbers and `checks` does not
            skip it.
    """
    listed = []
    for number, (name, annotations) in enumerate(createml_entries(file)):
        picture = ListedPicture(f"entry {number}", name)
        for annotation in annotations:
            where = f"{str(file)!r}, a box of {name!r}"
            label = plain_label(annotation.get("label"))
            if not label and checks.on_unknown_class == "error":
                raise ValueError(f"{where} has no `label`. Write it, or skip such boxes with on_unknown_class: skip.")
            if (box := _corners(annotation.get("coordinates"), origin)) is None:
                given = printable(repr(annotation.get("coordinates")), 80)
                checks.refuse_box(f"{where} has the coordinates {given}, and needs {', '.join(_SIDES)}", name, report)
                continue
            picture.boxes.append(box)
            picture.classes.append(label)
        listed.append(picture)
    unit = unit or guess_unit([box for picture in listed for box in picture.boxes])
    for picture in listed:
        picture.in_shares = unit == "share"
    return listed


def _corners(coordinates: Any, origin: Origin) -> list[float] | None:
    try:
        x, y, width, height = (float(coordinates[side]) for side in _SIDES)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, (x, y, width, height))):
        return None
    if origin == "center":
        x, y = x - width / 2, y - height / 2
    return [x, y, x + width, y + height]
