"""What a COCO JSON file says about its pictures, with every fault named by file and annotation.

Ids may be numbers or texts: `1`, `1.0` and `"1"` are one id where only one picture or category can be meant.
Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl.data.folder.annotations import Checks
from mtl.data.folder.findings import DataReport
from mtl.data.folder.text_files import read_text
from mtl.errors import did_you_mean

_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_MOST_NAMED = 5  # doubled ids in one message


@dataclass
class ListedPicture:
    """One entry of `images` with its boxes.

    Args:
        id: its id.
        file_name: the file as the JSON names it.
        declared: height and width that the JSON states.
        boxes: xyxy px.
        classes: class names of the boxes.
    """

    id: Any
    file_name: str
    declared: tuple[int, int] | None = None
    boxes: list[list[float]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)


def read_coco(file: Path, checks: Checks, report: DataReport) -> list[ListedPicture]:
    """The pictures of a COCO JSON file in its order.

    Args:
        file: the JSON file.
        checks: what to do about faults.
        report: takes every finding.

    Raises:
        ValueError: if this is no such file; for ids that stand for two pictures or two categories, annotations of an
            unknown category and boxes that are none, unless they are to be skipped; and if most annotations belong to
            no picture.
    """
    if not file.is_file():
        raise ValueError(f"no COCO file {str(file)!r}. Correct `root`, or name the file in `annotations`.")
    images, annotations, categories = _lists(file)
    pictures = _Ids(file, "images", "file_name", images)
    classes = _Ids(file, "categories", "name", categories)
    listed = {
        key: ListedPicture(entry["id"], str(entry["file_name"]), _declared(entry))
        for key, entry in pictures.entries.items()
    }
    names = Counter(str(entry["name"]).strip() for entry in classes.entries.values())
    for name in (name for name, number in names.items() if number > 1):
        report.add("category_listed_twice", "", "", f"{name} in {file.name}", "merged")
    strays = []
    for number, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            raise ValueError(f"{str(file)!r}: annotations[{number}] is {entry!r} and must be an object. Correct it.")
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


def _lists(file: Path) -> tuple[list[Any], list[Any], list[Any]]:
    text = read_text(file)
    try:
        content = json.loads(text)
        found = [content[name] for name in ("images", "annotations", "categories")]
        for name, entries in zip(("images", "annotations", "categories"), found, strict=True):
            if not isinstance(entries, list):
                raise TypeError(f"{name} is no list")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{str(file)!r} is no COCO detection file ({type(error).__name__}: {error}); it needs the lists "
            "images, annotations and categories. Correct it, or name another file in `annotations`."
        ) from error
    return found[0], found[1], found[2]


def _add(
    entry: Mapping[str, Any],
    picture: ListedPicture,
    classes: "_Ids",
    where: str,
    checks: Checks,
    report: DataReport,
) -> None:
    """Add the box of one annotation to its picture, if it has one to train on."""
    box = entry.get("bbox")
    if isinstance(box, list) and not box:
        return  # what some tools write for a picture without an object
    key = classes.find(entry.get("category_id"))
    if key is None:
        if checks.on_unknown_class == "error":
            listed = ", ".join(f"{other['id']} {other['name']}" for other in classes.entries.values()) or "none"
            raise ValueError(
                f"{where} has category_id {entry.get('category_id')!r}, which `categories` does not list; it lists "
                f"{listed}. Add the category, or leave such boxes out with on_unknown_class: skip."
            )
        report.add("unknown_class", "", picture.file_name, f"category {entry.get('category_id')!r}", "skipped")
        return
    name = str(classes.entries[key]["name"]).strip()
    if str(entry.get("iscrowd")).strip().lower() in ("1", "1.0", "true"):
        report.add("crowd_box", "", picture.file_name, name, "skipped")
        return
    numbers = _numbers(box)
    if numbers is None:
        said = f"has the bbox {box!r}" if "bbox" in entry else "has no bbox"
        checks.refuse_box(f"{where} {said}; a box is four numbers x, y, width, height", picture.file_name, report)
        return
    x, y, width, height = numbers
    picture.boxes.append([x, y, x + width, y + height])
    picture.classes.append(name)


def _numbers(box: Any) -> list[float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in box):
        return None
    # an integer too long for a float is none of a picture either
    return [float(value) if abs(value) < 1e300 or isinstance(value, float) else math.inf for value in box]


def _declared(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    try:
        height, width = int(float(entry["height"])), int(float(entry["width"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def _refuse_strays(
    file: Path, strays: Sequence[Mapping[str, Any]], num: int, listed: Mapping[Hashable, ListedPicture]
) -> None:
    # a cut-out of a larger set has strays, too, but then its own pictures keep their boxes
    empty = sum(not picture.boxes for picture in listed.values())
    if strays and 2 * len(strays) >= num and 2 * empty >= len(listed):
        example = next(iter(listed.values())).id if listed else None
        raise ValueError(
            f"{str(file)!r}: {len(strays)} of {num} annotations belong to no picture of the list images, and {empty} "
            f"of its {len(listed)} pictures have no box: an annotation has image_id {strays[0].get('image_id')!r}, "
            f"a picture has id {example!r}. Correct the ids, and take out annotations of pictures that are not there."
        )


class _Ids:
    """The entries of `images` or `categories` by their id, however it is written."""

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
                    f"{str(file)!r}: {what}[{number}] is {_short(entry)} and needs an `id` (a number or a text) and a "
                    f"`{label}`.{hint} Correct it."
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
                f"{str(file)!r}: {len(doubled)} ids in {what} stand for more than one entry ({shown}{more}), so nobody "
                "can know which of them an annotation means. Give every entry an id of its own, also in the "
                "annotations; two sets that are merged need ids that do not meet."
            )

    def find(self, value: Any) -> Hashable | None:
        """The key of the entry that an id means; None if there is none."""
        key = _key(value)
        if key is None or key in self.entries:
            return key
        hits = self.by_text.get(_text(key), [])
        if len(hits) > 1:
            raise ValueError(
                f"{str(self.file)!r}: id {value!r} of an annotation may mean {' or '.join(map(repr, hits))} of "
                f"{self.what}. Write ids in one form."
            )
        return hits[0] if hits else None


def _key(value: Any) -> Hashable | None:
    """An id as a key of a dict: 1 and 1.0 are one key, "1" is another; None for what is no id."""
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
