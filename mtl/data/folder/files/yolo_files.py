"""Files of a YOLO data set: the `data.yaml` with its classes and splits, and the labels of one picture.

A line is `class cx cy width height` or `class x1 y1 x2 y2 x3 y3 ...`, a polygon; all but the class are shares of the
picture's width and height.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mtl.config.yaml_lines import load_yaml
from mtl.data.folder.files.text_files import read_text
from mtl.data.images import SUFFIXES
from mtl.errors import printable

SPLIT_KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "names.txt", "_darknet.labels")
_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LABELS = ("labels", "Labels", "LABELS")
_BOX = 5  # numbers of a line


@dataclass(frozen=True)
class YoloDescription:
    """What `data.yaml` or a list of names says.

    Args:
        file: the file; None where there is none.
        names: class names in the order of their index.
        splits: what it names for each split: folders of pictures, or text files that list pictures.
    """

    file: Path | None = None
    names: tuple[str, ...] = ()
    splits: dict[str, list[Path]] = field(default_factory=dict)


def describe_yolo(root: Path, data_yaml: str | None = None) -> YoloDescription:
    """Class names and splits of a YOLO data set.

    Args:
        root: folder of the data set.
        data_yaml: the file, relative to `root`; by default the first `*.yaml` there, or one folder below, with `names`
            or `train`, else a list of names such as `classes.txt`.

    Raises:
        ValueError: if the named file is missing, it or `data.yaml` is no YAML, or its names are no list and no
            numbered dict.
    """
    if data_yaml is not None and not (root / data_yaml).is_file():
        raise ValueError(f"data_yaml {str(root / data_yaml)!r} is not a file. Correct the path.")
    files = [root / data_yaml] if data_yaml else [*_yaml_files(root), *_yaml_files(root, "*/")]
    for file in files:
        values = _values(file, needed=data_yaml is not None or file.name in _USUAL)
        if data_yaml or "names" in values or "train" in values:
            return YoloDescription(file, _names(values.get("names"), file), _splits(values, file))
    for name in _NAME_FILES:
        for file in (root / name, *sorted(root.glob(f"*/{name}"))):
            if file.is_file():
                lines = [line.strip() for line in read_text(file).splitlines()]
                return YoloDescription(file, tuple(line for line in lines if line))
    return YoloDescription()


def read_objects(file: Path) -> list[tuple[int, tuple[float, float, float, float] | str]]:
    """The objects of a label file: class index, and the box xyxy in shares of the picture or what is wrong with it.

    Args:
        file: the label file; an empty one says that there is no object.
    """
    found: list[tuple[int, tuple[float, float, float, float] | str]] = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        where = f"{str(file)!r}, line {number}: {printable(line, 80)!r}"
        try:
            cls, *values = (float(word) for word in words)
        except ValueError:
            found.append((-1, f"{where} is not numbers"))
            continue
        index = int(cls) if math.isfinite(cls) and cls == int(cls) and cls >= 0 else -1
        if len(words) == _BOX:
            x, y, width, height = values
            found.append((index, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)))
        elif len(values) >= 6 and len(values) % 2 == 0:
            found.append((index, (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))))
        else:
            text = f"{where} has {len(words)} numbers; a box has class cx cy width height, a polygon 3 or more points"
            found.append((index, text))
    return found


def label_file(picture: Path, root: Path) -> Path:
    """Where YOLO tools look for the labels of a picture: in `labels` where the picture is in `images`, or beside it.

    Args:
        picture: the picture.
        root: folder of the data set.
    """
    inside = picture.relative_to(root) if picture.is_relative_to(root) else PurePosixPath(picture.name)
    parts = list(inside.parts)
    folders = [part.lower() for part in parts[:-1]]
    if "images" in folders:
        last = len(folders) - 1 - folders[::-1].index("images")
        # `Images` and `Labels`, too
        forms = [root.joinpath(*parts[:last], form, *parts[last + 1 :]) for form in _LABELS]
        return next((form for form in forms if form.parent.is_dir()), forms[0]).with_suffix(".txt")
    beside = picture.with_suffix(".txt")
    under = (root / "labels" / Path(*parts)).with_suffix(".txt")
    return under if under.is_file() and not beside.is_file() else beside


def listed_pictures(entry: Path, root: Path) -> list[str] | None:
    """Names of the pictures that an entry of `data.yaml` stands for, relative to `root`; None if there is no such file.

    Args:
        entry: a folder of pictures, or a text file with one path a line.
        root: folder of the data set.
    """
    if entry.is_dir():
        files = sorted(path for path in entry.rglob("*") if path.suffix.lower() in SUFFIXES)
        return [_inside(path, root) for path in files]
    if entry.is_file():
        return [line.strip() for line in read_text(entry).splitlines() if line.strip()]
    return None


def _inside(path: Path, root: Path) -> str:
    path, root = path.resolve(), root.resolve()
    return (path.relative_to(root) if path.is_relative_to(root) else path).with_suffix("").as_posix()


def _yaml_files(root: Path, folder: str = "") -> list[Path]:
    files = [path for ending in ("yaml", "yml") for path in root.glob(f"{folder}*.{ending}")]
    # the usual names first: other tools leave their settings beside them
    return sorted(files, key=lambda path: (path.name not in _USUAL, path.as_posix()))


def _values(file: Path, needed: bool) -> Mapping[str, Any]:
    try:
        return load_yaml(file)[0]
    except ValueError:
        if needed:  # or its classes would be called 0, 1, 2
            raise
        return {}


def _names(value: Any, file: Path) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, Mapping):
        if sorted(map(str, value)) != sorted(map(str, range(len(value)))):
            raise ValueError(f"{str(file)!r}: `names` has the keys {', '.join(map(str, value))}; expected 0, 1, 2, ...")
        value = [name for _, name in sorted(value.items(), key=lambda item: int(item[0]))]
    if not isinstance(value, list):
        raise ValueError(f"{str(file)!r}: `names` must be a list of class names, found {value!r:.100}.")
    return tuple(str(name).strip() for name in value)


def _splits(values: Mapping[str, Any], file: Path) -> dict[str, list[Path]]:
    base = file.parent
    if isinstance(path := values.get("path"), str) and (base / path).is_dir():
        base = base / path
    found: dict[str, list[Path]] = {}
    for split, keys in SPLIT_KEYS.items():
        value = next((values[key] for key in keys if values.get(key)), None)
        entries = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        paths = [_existing(base, str(entry)) for entry in entries]
        if known := [path for path in paths if path is not None]:
            found[split] = known
    return found


def _existing(base: Path, entry: str) -> Path | None:
    """The path of an entry; Roboflow writes `../train/images` for `train/images`, others a path of their own disk."""
    parts = PurePosixPath(entry.replace("\\", "/")).parts
    for start in range(len(parts)):
        path = base.joinpath(*parts[start:]) if start else base / PurePosixPath(*parts)
        if path.exists():
            return path
    return None
