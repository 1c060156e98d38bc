"""Read a COCO JSON file; errors name the file and the annotation.

Ids may be numbers or strings: `1`, `1.0` and `"1"` are the same id unless this is ambiguous.
Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl.data.folder.annotations import Checks
from mtl.data.folder.files.declared import declared_size
from mtl.data.folder.files.listed_picture import ListedPicture
from mtl.data.folder.files.text_files import read_text
from mtl.data.folder.findings import DataReport
from mtl.errors import did_you_mean

_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_MOST_NAMED = 5  # duplicate ids shown in one message


def read_coco(file: Path, checks: Checks, report: DataReport) -> list[ListedPicture]:
    """The pictures of a COCO JSON file, in its order.

    Args:
        file: the JSON file.
        checks: how to handle faults.
        report: receives the findings.

    Raises:
        ValueError: if the file is missing or not COCO JSON; if an id belongs to two pictures or two categories; for an
            unknown category or an invalid box, unless `checks` skips them; or if most annotations have no picture.
    """
    if not file.is_file():
        raise ValueError(f"no COCO file {str(file)!r}. Correct `root`, or name the file in `annotations`.")
    images, annotations, categories = coco_lists(file)
    if not images:
        raise ValueError(f"{str(file)!r}: the list `images` is empty. List the pictures there.")
    pictures = _Ids(file, "images", "file_name", images)
    classes = _Ids(file, "categories", "name", categories)
    listed = {
        key: ListedPicture(entry["id"], str(entry["file_name"]), declared_size(entry.get("height"), entry.get("width")))
        for key, entry in pictures.entries.items()
    }
    names = Counter(str(entry["name"]).strip() for entry in classes.entries.values())
    for name in (name for name, number in names.items() if number > 1):
        report.add("category_listed_twice", "", "", f"{name} in {file.name}", "merged")
    strays = []
    for number, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            raise ValueError(f"{str(file)!r}: annotations[{number}] must be an object, not {entry!r}. Correct it.")
        key = pictures.find(entry.get("image_id"))
        if key is None:
            strays.append(entry)
            report.add(
                "annotation_without_image", "", str(entry.get("image_id")), f"id {entry.get('id', number)!r}", "skipped"
            )
        else:
            where = f"{str(file)!r}, annotation {entry.get('id', number)!r} of {listed[key].file_name!r}"
            _add(entry, listed[key], classes, where, checks, report)
    _refuse_strays(file, strays, len(annotations), listed)
    return list(listed.values())


def coco_lists(file: Path) -> tuple[list[Any], list[Any], list[Any]]:
    """The lists `images`, `annotations` and `categories` of a COCO JSON file.

    Args:
        file: the file.

    Raises:
        ValueError: if it is not COCO JSON.
    """
    text = read_text(file)
    try:
        content = json.loads(text)
        lists = [content[name] for name in ("images", "annotations", "categories")]
        for name, entries in zip(("images", "annotations", "categories"), lists, strict=True):
            if not isinstance(entries, list):
                raise TypeError(f"{name} is not a list")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{str(file)!r} is not a COCO detection file ({type(error).__name__}: {error}); it needs the lists "
            "images, annotations and categories. Correct it, or set another file in `annotations`."
        ) from error
    return lists[0], lists[1], lists[2]


def _add(
    entry: Mapping[str, Any],
    picture: ListedPicture,
    classes: "_Ids",
    where: str,
    checks: Checks,
    report: DataReport,
) -> None:
    """Add the box of one annotation to its picture, unless the box is empty or skipped."""
    box = entry.get("bbox") if "bbox" in entry else _box_of(entry.get("segmentation"))
    if isinstance(box, list) and not box:
        return  # some tools write this for a picture without objects
    key = classes.find(entry.get("category_id"))
    if key is None:
        if checks.on_unknown_class == "error":
            listed = ", ".join(f"{other['id']} {other['name']}" for other in classes.entries.values()) or "none"
            raise ValueError(
                f"{where} has category_id {_short(entry.get('category_id'))}, which is not in `categories`: {listed}. "
                "Add the category, or skip its boxes with on_unknown_class: skip."
            )
        report.add("unknown_class", "", picture.file_name, f"category {entry.get('category_id')!r}", "skipped")
        return
    name = str(classes.entries[key]["name"]).strip()
    crowd = str(entry.get("iscrowd")).strip().lower() in ("1", "1.0", "true")
    numbers = _numbers(box)
    if crowd:
        report.add("crowd_box", "", picture.file_name, name, "skipped" if numbers is None else "ignored")
    if numbers is None and crowd:
        return
    if numbers is None:
        fault = f"has the bbox {_short(box)}" if "bbox" in entry else "has no bbox and no polygon"
        checks.refuse_box(f"{where} {fault}; a box is four numbers x, y, width, height", picture.file_name, report)
        return
    x, y, width, height = numbers
    if crowd:
        picture.ignored.append(len(picture.boxes))
    picture.boxes.append([x, y, x + width, y + height])
    picture.classes.append(name)


def _box_of(segmentation: Any) -> list[float] | None:
    """The box around polygons, x, y, width and height; None for anything else."""
    if not isinstance(segmentation, list) or not all(isinstance(polygon, list) for polygon in segmentation):
        return None
    xs, ys = ([value for polygon in segmentation for value in polygon[start::2]] for start in (0, 1))
    if not xs or len(xs) != len(ys) or not all(isinstance(value, int | float) for value in (*xs, *ys)):
        return None
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _numbers(box: Any) -> list[float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in box):
        return None
    # NaN and Infinity are no JSON, but Python's writer makes them; an integer may be too large for a float
    return [float(value) for value in box] if all(abs(value) < 1e300 for value in box) else None


def _refuse_strays(
    file: Path, strays: Sequence[Mapping[str, Any]], num: int, listed: Mapping[Hashable, ListedPicture]
) -> None:
    # a subset of a larger data set also has strays, but then its pictures have boxes
    empty = sum(not picture.boxes for picture in listed.values())
    if strays and 2 * len(strays) >= num and 2 * empty >= len(listed):
        example = next(iter(listed.values())).id if listed else None
        raise ValueError(
            f"{str(file)!r}: {len(strays)} of {num} annotations have an image_id that is not in `images`, and {empty} "
            f"of its {len(listed)} pictures have no box: an annotation has image_id {strays[0].get('image_id')!r}, "
            f"a picture has id {example!r}. Correct the ids, and remove annotations of missing pictures."
        )


class _Ids:
    """The entries of `images` or `categories` by id, in any spelling."""

    def __init__(self, file: Path, what: str, label: str, entries: Sequence[Any]) -> None:
        self.file, self.what = file, what
        self.entries: dict[Hashable, Mapping[str, Any]] = {}
        self.by_text: defaultdict[str, list[Hashable]] = defaultdict(list)
        doubled: dict[Hashable, list[str]] = {}
        for number, entry in enumerate(entries):
            key = _key(entry.get("id")) if isinstance(entry, dict) else None
            if key is None or not isinstance(entry.get(label), str | int) or not str(entry[label]).strip():
                known = entry if isinstance(entry, dict) else ()
                hint = next((did_you_mean(name, known) for name in ("id", label) if name not in known), "")
                raise ValueError(
                    f"{str(file)!r}: {what}[{number}] is {_short(entry)} and needs an `id` (a number or a string) and "
                    f"a `{label}`.{hint} Correct it."
                )
            if key not in self.entries:
                self.entries[key] = entry
                same = self.by_text[_text(key)]
                same.append(key)
                names = [str(self.entries[other][label]) for other in same]
                if len({isinstance(other, str) for other in same}) > 1 and len(set(names)) > 1:
                    doubled[_text(key)] = names
            elif self.entries[key][label] != entry[label]:
                doubled.setdefault(key, [str(self.entries[key][label])]).append(str(entry[label]))
        if doubled:
            shown = "; ".join(f"{key!r}: {', '.join(names)}" for key, names in list(doubled.items())[:_MOST_NAMED])
            more = f"; and {len(doubled) - _MOST_NAMED} more" if len(doubled) > _MOST_NAMED else ""
            raise ValueError(
                f"{str(file)!r}: {len(doubled)} ids in {what} belong to more than one entry ({shown}{more}), so their "
                "annotations are ambiguous. Give each entry a unique id, also in the annotations; merged data sets "
                "need disjoint ids."
            )

    def find(self, value: Any) -> Hashable | None:
        """The key of the entry with this id; None if no entry has it."""
        key = _key(value)
        if key is None or key in self.entries:
            return key
        hits = self.by_text.get(_text(key), [])
        if len(hits) > 1:
            raise ValueError(
                f"{str(self.file)!r}: id {value!r} of an annotation may mean {' or '.join(map(repr, hits))} in "
                f"{self.what}. Write each id in one form."
            )
        return hits[0] if hits else None


def _key(value: Any) -> Hashable | None:
    """An id as a dict key: 1 and 1.0 are the same key, "1" is another; None for an invalid id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.strip() or None if isinstance(value, str) else value


def _text(key: Hashable) -> str:
    text = str(key)
    return str(int(text.split(".")[0])) if _WHOLE.fullmatch(text) else text


def _short(entry: Any) -> str:
    text = repr(entry)
    return text if len(text) <= 80 else f"{text[:77]}..."
