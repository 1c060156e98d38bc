"""Read a "CVAT for images" XML file: boxes, polygons, ellipses, masks and cuboids as the boxes around them.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from mtl.data.folder.annotations import Checks
from mtl.data.folder.files.declared import declared_size, plain_label
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.files.voc_xml import parse_xml
from mtl.data.folder.findings import DataReport
from mtl.errors import printable

_MOST_BYTES = 4_000_000_000  # of one file for all pictures, which holds masks as well
_SHAPES = ("box", "polygon", "ellipse", "mask", "cuboid")
_WITHOUT_AREA = ("points", "polyline", "skeleton")
_CORNERS = tuple(f"{side}{face}" for side in ("tl", "bl", "tr", "br") for face in (1, 2))  # of a cuboid's two faces


class VideoTracksError(ValueError):
    """A CVAT file of a video, which lists tracks and no pictures."""


def cvat_images(file: Path) -> list[ElementTree.Element]:
    """The pictures of a CVAT file.

    Args:
        file: the XML file.

    Raises:
        ValueError: if it is missing, no XML, or lists no picture.
    """
    if not file.is_file():
        raise ValueError(f"no CVAT file {str(file)!r}. Correct `annotations` or `root`.")
    tree = parse_xml(file, _MOST_BYTES, "Correct it, or set another file in `annotations`.")
    images = tree.findall("image") if tree.tag == "annotations" else []
    if not images:
        video = tree.find("track") is not None
        held = "tracks of a video" if video else f"<{tree.tag[:80]}> without <image>"
        refused = VideoTracksError if video else ValueError
        raise refused(f"{str(file)!r} is no list of pictures, but holds {held}. Export it as CVAT for images 1.1.")
    return images


def cvat_labels(file: Path) -> set[str]:
    """The labels of all shapes that have an area.

    Args:
        file: the XML file.
    """
    shapes = [shape for image in cvat_images(file) for kind in _SHAPES for shape in image.iter(kind)]
    return {plain_label(shape.get("label")) for shape in shapes} - {""}


def read_cvat(file: Path, checks: Checks, report: DataReport) -> list[ListedPicture]:
    """The pictures of a CVAT file, in its order.

    Args:
        file: the XML file.
        checks: how to handle faults.
        report: receives what is skipped; points, lines and skeletons have no area and are skipped always.

    Raises:
        ValueError: as `cvat_images`; for a picture without a name; for a shape without a label or a box, unless
            `checks` skips it.
    """
    listed = []
    for number, image in enumerate(cvat_images(file), start=1):
        name = (image.get("name") or "").strip()
        if not name:
            raise ValueError(f"{str(file)!r}: <image> {number} has no name. Write the name of its file.")
        size = declared_size(image.get("height"), image.get("width"))
        picture = ListedPicture(f"image {image.get('id', number)}", name, size)
        for shape in image:
            if shape.tag in _WITHOUT_AREA:
                report.add("shape_without_area", "", name, f"{shape.tag} {shape.get('label')}", "skipped")
            elif shape.tag in _SHAPES:
                _add(shape, picture, f"{str(file)!r}, a {shape.tag} of {name!r}", checks, report)
        listed.append(picture)
    return listed


def _add(shape: ElementTree.Element, picture: ListedPicture, where: str, checks: Checks, report: DataReport) -> None:
    label = plain_label(shape.get("label"))
    if not label and checks.on_unknown_class == "error":
        raise ValueError(f"{where} has no label. Write it, or skip such shapes with on_unknown_class: skip.")
    try:
        box = _box_around(shape.tag, shape.attrib)
    except (KeyError, ValueError):
        given = printable(", ".join(f"{key}={value}" for key, value in shape.attrib.items()), 100)
        checks.refuse_box(f"{where} has {given}, and no box of numbers", picture.file_name, report)
        return
    picture.boxes.append(box)
    picture.classes.append(label)


def _box_around(kind: str, of: Mapping[str, str]) -> list[float]:
    """The box xyxy around a shape, which may be rotated around its center."""
    if kind == "polygon":
        points = [tuple(map(float, point.split(","))) for point in of["points"].split(";")]
    elif kind == "cuboid":
        points = [(float(of[f"x{corner}"]), float(of[f"y{corner}"])) for corner in _CORNERS]
    elif kind == "mask":
        x, y, width, height = (float(of[side]) for side in ("left", "top", "width", "height"))
        points = [(x, y), (x + width, y + height)]
    elif kind == "ellipse":
        x, y, rx, ry = (float(of[side]) for side in ("cx", "cy", "rx", "ry"))
        angle = math.radians(float(of.get("rotation", 0)))
        across = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
        down = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
        points = [(x - across, y - down), (x + across, y + down)]
    else:
        x0, y0, x1, y1 = (float(of[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        if turn := float(of.get("rotation", 0)):
            points = _turned(points, math.radians(turn))
    xs, ys = zip(*points, strict=True)
    if not all(map(math.isfinite, (*xs, *ys))):
        raise ValueError("a number is not finite")
    return [min(xs), min(ys), max(xs), max(ys)]


def _turned(points: list[tuple[float, ...]], angle: float) -> list[tuple[float, ...]]:
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    cos, sin = math.cos(angle), math.sin(angle)
    return [(x + (a - x) * cos - (b - y) * sin, y + (a - x) * sin + (b - y) * cos) for a, b in points]
