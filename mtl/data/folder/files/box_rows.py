"""Boxes in the rows of a CSV: which columns hold them, and the pictures that they list.

A row is a picture and a box, or a picture without a box, where the cells of the box are empty. One column may hold all
numbers of a box, or of several boxes with semicolons between them.
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mtl.data.csv_rows import Row, Rows, read_csv
from mtl.data.folder.annotations import Checks
from mtl.data.folder.files.declared import declared_size
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.findings import DataReport
from mtl.errors import printable

BoxForm = Literal["xyxy", "xywh", "cxcywh"]
BoxUnit = Literal["px", "share"]
ONE_CLASS = "object"  # of boxes without a class
# usual names, in small letters and without anything but letters and digits; the first one counts
_IMAGES = (
    *("filename", "file", "image", "imagename", "imageid", "img", "imgname", "imgid", "imagepath", "imgpath"),
    *("path", "filepath", "imagefile", "imagefilename", "picture", "name"),
)
_CLASSES = (
    *("class", "label", "classname", "labelname", "category", "categoryname", "object", "objectname", "type", "name"),
    *("species", "classid", "labelid", "categoryid", "target", "klasse", "classe", "clase"),
)
_CORNERS: dict[BoxForm, tuple[tuple[str, str], ...]] = {
    "xyxy": (("xmin", "ymin"), ("x1", "y1"), ("x0", "y0"), ("left", "top"), ("xtl", "ytl"), ("minx", "miny")),
    "cxcywh": (("xcenter", "ycenter"), ("centerx", "centery"), ("xc", "yc"), ("cx", "cy")),
    "xywh": (("x", "y"), ("xmin", "ymin"), ("left", "top"), ("x1", "y1"), ("x0", "y0")),
}
_FAR = (("xmax", "ymax"), ("x2", "y2"), ("x1", "y1"), ("right", "bottom"), ("xbr", "ybr"), ("maxx", "maxy"))
_SIDES = (("w", "h"), ("width", "height"))
_SIZES = (("width", "height"), ("imagewidth", "imageheight"), ("imgwidth", "imgheight"), ("imgw", "imgh"))
_TOGETHER: dict[str, BoxForm] = {"bbox": "xywh", "boundingbox": "xywh", "box": "xywh", "boxesstring": "xyxy"}
_OF_BOX = re.compile(r"^(b?box|bb|roi|rect|boundingbox)")
_IGNORED = ("isgroupof", "iscrowd")
_NO_BOX = ("", "nan", "none", "null", "na", "n/a", "[]", "no_box")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LETTERS = re.compile(r"[a-df-zA-DF-Z]")
_BETWEEN = re.compile(r"[;|\n]|[\])]\s*,\s*[\[(]")
_LARGEST_SHARE = 2.0  # a box may reach over the edge of its picture, in shares as well


@dataclass(frozen=True)
class BoxColumns:
    """What the columns of a table mean.

    Args:
        image: names of the pictures.
        boxes: the four numbers of a box, or one column with all of them.
        form: what the numbers are: two corners (`xyxy`), the corner at the top left and the sides (`xywh`), or the
            center and the sides (`cxcywh`).
        label: class names; None where all boxes are of one class.
        size: width and height of the picture.
        ignored: 1 for a box around a group.
    """

    image: str
    boxes: tuple[str, ...]
    form: BoxForm
    label: str | None = None
    size: tuple[str, str] | None = None
    ignored: str | None = None

    def all(self) -> set[str]:
        """Every column that has a meaning here."""
        return {self.image, *self.boxes, *(self.size or ()), *(name for name in (self.label, self.ignored) if name)}


def find_columns(
    header: Sequence[str],
    image: str | None = None,
    label: str | None = None,
    boxes: Sequence[str] | None = None,
    form: BoxForm | None = None,
) -> BoxColumns | None:
    """The columns of boxes by their usual names; None if there are none.

    Args:
        header: the columns.
        image: names of the pictures, if known.
        label: class names, if known.
        boxes: four columns or one, if known; their order counts where `form` is known or their names say none.
        form: of the boxes, if known.
    """
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(header)}
    # `bbox_x1`, `box.left`
    plain = {_OF_BOX.sub("", key): name for key, name in plain.items() if key not in _TOGETHER} | plain
    found, usual = _boxes_in({key: name for key, name in plain.items() if not boxes or name in boxes})
    if boxes and (form or {*found} != {*boxes}):
        found, usual = tuple(boxes), None
    image = image or _first(plain, _IMAGES, found)
    if not found or image is None:
        return None
    label = label or _first(plain, _CLASSES, {*found, image})
    sizes = [pair for pair in _SIZES if all(name in plain for name in pair)]
    size = next(((plain[w], plain[h]) for w, h in sizes if not {plain[w], plain[h]} & {*found}), None)
    form = form or usual or ("xywh" if len(found) == 1 else "xyxy")
    return BoxColumns(image, found, form, label, size, _first(plain, _IGNORED, found))


def is_class_column(column: str) -> bool:
    """Whether a column is called as columns of classes are: `label`, `class_id`.

    Args:
        column: its name.
    """
    return re.sub(r"[^a-z0-9]", "", column.lower()) in _CLASSES


def _boxes_in(plain: dict[str, str]) -> tuple[tuple[str, ...], BoxForm | None]:
    """The columns of boxes and their form, by the names in small letters."""
    for form, starts in _CORNERS.items():
        for x, y in starts:
            for far in _FAR if form == "xyxy" else _SIDES:
                names = (x, y, *far)
                if len(set(names)) == len(names) and all(name in plain for name in names):
                    return tuple(plain[name] for name in names), form
    together = next((name for name in _TOGETHER if name in plain), None)
    return ((), None) if together is None else ((plain[together],), _TOGETHER[together])


def _first(plain: dict[str, str], names: Sequence[str], taken: Collection[str]) -> str | None:
    return next((plain[name] for name in names if name in plain and plain[name] not in taken), None)


def list_boxes(
    rows: Rows, columns: BoxColumns, unit: BoxUnit | None, one_class: str, checks: Checks, report: DataReport
) -> list[ListedPicture]:
    """The pictures of a table, each with all its boxes.

    Args:
        rows: the table.
        columns: their meaning.
        unit: of the boxes; None: shares if no number is larger than a share can be.
        one_class: class of boxes without a column of classes.
        checks: how to handle faults.
        report: receives what is skipped.

    Raises:
        ValueError: for a row without a picture; for a box without a class or that is not four numbers, unless `checks`
            skips it.
    """
    listed: dict[str, ListedPicture] = {}
    for row, line in zip(rows.rows, rows.lines, strict=True):
        where, name = f"{rows.source!r}, line {line}", row[columns.image].strip()
        if not name:
            raise ValueError(f"{where}: column {columns.image!r} names no picture. Write its name, or remove the row.")
        width, height = (row[column] for column in columns.size) if columns.size else (None, None)
        size = declared_size(height, width)
        picture = listed.setdefault(name, ListedPicture(f"line {line}", name, size))
        for box in boxes_of(row, columns):
            if isinstance(box, str):
                fault = f"{where}: the box of {name!r} is {printable(box, 80)!r}, and needs four numbers"
                checks.refuse_box(fault, name, report)
                continue
            label = one_class if columns.label is None else row[columns.label].strip()
            if not label:
                if checks.on_unknown_class == "error":
                    raise ValueError(
                        f"{where}: the box of {name!r} has no class in column {columns.label!r}. Write it, or skip "
                        "such boxes with on_unknown_class: skip."
                    )
                report.add("unknown_class", "", name, f"no class in line {line}", "skipped")
                continue
            if columns.ignored and row[columns.ignored].strip().lower() in ("1", "1.0", "true"):
                report.add("crowd_box", "", name, label, "ignored")
                picture.ignored.append(len(picture.boxes))
            picture.boxes.append(box)
            picture.classes.append(label)
    unit = unit or guess_unit([box for picture in listed.values() for box in picture.boxes])
    for picture in listed.values():
        picture.in_shares = unit == "share"
    return list(listed.values())


def read_box_rows(file: Path, header: Sequence[str] | None) -> Rows:
    """The rows of a table of boxes.

    Args:
        file: the table.
        header: its columns, if it does not name them itself.

    Raises:
        ValueError: if it is missing, or no table.
    """
    if not file.is_file():
        raise ValueError(f"no table {str(file)!r}. Correct `annotations` or `root`.")
    return read_csv(file, [], header=header)


def boxes_of(row: Row, columns: BoxColumns) -> Iterator[list[float] | str]:
    """The boxes of a row, xyxy in the table's unit; the text of a box that is not four numbers.

    Args:
        row: the row.
        columns: their meaning.
    """
    cells = [row[column].strip() for column in columns.boxes]
    if all(cell.lower() in _NO_BOX for cell in cells):
        return
    texts = [", ".join(cells)] if len(cells) > 1 else [part for part in _BETWEEN.split(cells[0]) if part.strip()]
    for text in texts:
        numbers = cells if len(cells) > 1 else [] if _LETTERS.search(text) else _NUMBER.findall(text)
        box = _corners(numbers, columns.form)
        if box is None or any(box):  # four zeros stand for no box
            yield box or text.strip()


def _corners(texts: Sequence[str], form: BoxForm) -> list[float] | None:
    """The box xyxy; None for anything but four finite numbers."""
    try:
        # a decimal comma, as in tables with semicolons
        a, b, c, d = (float(text if "." in text else text.replace(",", ".")) for text in texts)
    except ValueError:
        return None
    if not all(map(math.isfinite, (a, b, c, d))):
        return None
    if form == "cxcywh":
        return [a - c / 2, b - d / 2, a + c / 2, b + d / 2]
    return [a, b, a + c, b + d] if form == "xywh" else [a, b, c, d]


def guess_unit(boxes: Sequence[Sequence[float]]) -> BoxUnit:
    """Shares if hardly a number is larger than a share can be, else pixels.

    Args:
        boxes: xyxy.
    """
    values = np.abs(np.array(boxes, float)).reshape(-1)
    return "share" if len(values) and np.quantile(values, 0.99) <= _LARGEST_SHARE else "px"
