"""Read one Pascal VOC XML file in its declared encoding."""

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mtl.config.foreign_files import read_small
from mtl.data.folder.annotations import AnnotatedImage, Checks
from mtl.data.folder.files.declared import declared_size
from mtl.data.folder.files.text_files import check_annotation
from mtl.data.folder.findings import DataReport

Difficult = Literal["keep", "skip"]
_MOST_BYTES = 20_000_000  # of one picture's annotations; they have some thousand
_OF_ONE_PICTURE = "Correct it, save it as UTF-8, or remove it: then its picture is not annotated."
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DECLARATION = re.compile(rb"^\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([\w.:-]+)[\"'][^>]*\?>")


def read_voc(
    name: str,
    picture: Path,
    annotation: Path | None,
    one_based: bool,
    difficult: Difficult,
    checks: Checks,
    report: DataReport,
) -> AnnotatedImage:
    """The record of one picture and its XML file.

    Args:
        name: name of the picture.
        picture: file of the picture.
        annotation: its XML file; without one, the picture is not annotated.
        one_based: whether the first pixel has number 1.
        difficult: boxes marked difficult are objects (`keep`), or not trained on and ignored by the metric (`skip`).
        checks: how to handle an object whose box is not four numbers.
        report: receives the skipped boxes.

    Raises:
        ValueError: if the XML cannot be read, or a box is not four numbers and `checks` does not skip it.
    """
    if annotation is None or not os.path.lexists(annotation):
        return AnnotatedImage(name, picture, annotated=False)
    tree = _plain(parse_xml(annotation), annotation)
    boxes: list[np.ndarray[Any, Any]] = []
    classes, left_out = [], []
    for number, item in enumerate(tree.iter("object"), start=1):
        cls = (item.findtext("name") or "").strip()
        if not cls and checks.on_unknown_class == "error":
            raise ValueError(
                f"annotation {str(annotation)!r}: object {number} has no name. Add the name of its class, or skip such "
                "objects with on_unknown_class: skip."
            )
        try:
            # not a search in all levels: parts of a person have `bndbox` elements, too
            box = np.array([float(item.findtext(f"bndbox/{corner}", "")) for corner in _CORNERS])
            if not np.isfinite(box).all():
                raise ValueError("a corner is not finite")
        except ValueError:
            fault = f"annotation {str(annotation)!r}: an object {cls!r} needs numbers for {', '.join(_CORNERS)}"
            checks.refuse_box(fault, name, report)
            continue
        if one_based:
            # the last pixel belongs to the box, so its far side is one further; a box without area keeps no area
            box -= [1, 1, 0, 0] if (box[2:] > box[:2]).all() else [1, 1, 1, 1]
        if difficult == "skip" and (item.findtext("difficult") or "").strip().lower() in ("1", "true"):
            left_out.append(len(boxes))
        boxes.append(box)
        classes.append(cls)
    return AnnotatedImage(
        name,
        picture,
        boxes=np.array(boxes).reshape(-1, 4),
        classes=classes,
        ignored=frozenset(left_out),
        declared=declared_size(tree.findtext("size/height"), tree.findtext("size/width")),
        source=str(annotation),
    )


def parse_xml(annotation: Path, most_bytes: int = _MOST_BYTES, advice: str = _OF_ONE_PICTURE) -> ElementTree.Element:
    """The tree of an XML file, read in its declared encoding.

    Args:
        annotation: the file.
        most_bytes: a larger file is an error.
        advice: end of the message about a file that is no XML.

    Raises:
        ValueError: if it is missing, or no XML.
    """
    check_annotation(annotation)
    content = read_small(annotation, most_bytes, follow=True)
    try:
        try:
            return ElementTree.fromstring(content)
        except ValueError:
            # the parser does not support multi-byte encodings such as GB2312 or Shift_JIS
            declared = _DECLARATION.match(content)
            if declared is None:
                raise
            return ElementTree.fromstring(content[declared.end() :].decode(declared[1].decode()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"annotation {str(annotation)!r} is not valid XML ({error}). {advice}") from error


def _plain(tree: ElementTree.Element, annotation: Path) -> ElementTree.Element:
    """The tree with names of elements in small letters and without their namespace."""
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2].lower()
    if tree.tag != "annotation":
        raise ValueError(
            f"annotation {str(annotation)!r} is no VOC file: its first element is <{tree.tag[:80]}>, not <annotation>. "
            "Export it as Pascal VOC, or remove it: then its picture is not annotated."
        )
    return tree
