"""`FolderFormat`: recognise one way of storing annotations, and describe it as the arguments of a data module."""

import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal, TypeVar

from mtl.data.images import SUFFIXES
from mtl.discovery import concrete_subclasses

SPLIT_WORDS = {
    "train": ("train", "training", "trainset"),
    "val": ("val", "valid", "validation", "dev", "valset"),
    "test": ("test", "testing", "testset"),
}
# names of folders that are neither classes nor cases
PLAIN_FOLDERS = {word for words in SPLIT_WORDS.values() for word in words}
PLAIN_FOLDERS |= {"images", "image", "imgs", "img", "pictures", "photos", "data", "jpegimages", "labels", "masks"}
_LEFT_OUT = ("__MACOSX", "node_modules")
_MOST_FILES = 2_000_000
T = TypeVar("T")
_WORD = re.compile(r"[a-z]+")
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Listing:
    """The files of a folder, by their paths relative to it.

    Args:
        root: the folder.
        pictures: picture files.
        others: all other files.
    """

    root: Path
    pictures: tuple[str, ...]
    others: tuple[str, ...]

    def of_type(self, *suffixes: str) -> list[str]:
        """Other files with one of these extensions, in any case.

        Args:
            suffixes: with the dot, in lower case.
        """
        return [name for name in self.others if name.lower().endswith(suffixes)]


@dataclass(frozen=True)
class Part:
    """What one format found.

    Args:
        format: what it is, for people.
        init_args: arguments of the data module.
        tasks: kind of each task that it gives, by name; the first ones are proposed, see `open_tasks`.
        class_path: the data module; None for labels or maps that another format's data module reads.
        open_tasks: tasks that are possible, but not proposed.
        notes: what the user should know, one sentence each.
        split_column: column of the table of labels that names the splits.
        group_column: column of the table of labels whose values must stay in one split.
        maps: picture files that are maps of others.
        in_doubt: of a part that is left out where a table has classes, the note about it; else empty.
    """

    format: str
    init_args: dict[str, Any]
    tasks: dict[str, str]
    class_path: str | None = None
    open_tasks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    split_column: str | None = None
    group_column: str | None = None
    maps: tuple[str, ...] = ()
    in_doubt: str = ""


class FolderFormat(ABC):
    """One way of storing annotations."""

    gives: ClassVar[Literal["objects", "folders", "labels", "maps"]]  # of `objects` and `folders` the first one counts
    order: ClassVar[int] = 0  # formats are asked in this order

    @abstractmethod
    def find(self, files: Listing) -> Part | None:
        """What the folder holds in this format; None if nothing.

        Args:
            files: the files of the folder.

        Raises:
            ValueError: for files that are of this format, and damaged.
        """

    def hint(self, files: Listing) -> str:
        """What to do with files that are nearly of this format; asked where nothing was found.

        Args:
            files: the files of the folder.
        """
        return ""


def formats() -> list[FolderFormat]:
    """Every format, in the order in which they are asked."""
    found = [cls() for cls in concrete_subclasses(FolderFormat)]  # type: ignore[type-abstract]
    return sorted(found, key=lambda one: (one.order, type(one).__name__))


def list_files(root: Path) -> Listing:
    """All files below a folder; hidden ones, and annotations that are links which lead nowhere, are left out.

    Args:
        root: the folder.

    Raises:
        ValueError: if it is missing, holds no picture, or more than 2,000,000 files.
    """
    if not root.is_dir():
        raise ValueError(f"there is no folder {str(root)!r}. Give the folder that holds pictures and annotations.")
    pictures: list[str] = []
    others: list[str] = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _LEFT_OUT)
        inside = Path(folder).relative_to(root)
        for name in sorted(names):
            if name.startswith("."):
                continue
            if name.lower().endswith(SUFFIXES):
                pictures.append((inside / name).as_posix())
            elif os.path.exists(os.path.join(folder, name)):
                others.append((inside / name).as_posix())
        if len(pictures) + len(others) > _MOST_FILES:
            raise ValueError(f"{str(root)!r} holds more than {_MOST_FILES:,} files. Give the folder of one data set.")
    if not pictures:
        kinds = Counter(PurePosixPath(name).suffix for name in others).most_common(3)
        held = ", ".join(f"{number} x *{suffix}" for suffix, number in kinds) or "nothing"
        raise ValueError(
            f"{str(root)!r} holds no picture ({', '.join(SUFFIXES)}), but {held}. Give the folder of the data set, "
            "unpacked."
        )
    return Listing(root, tuple(pictures), tuple(others))


def common_folder(names: Iterable[str]) -> str:
    """The deepest folder that holds all files, `.` for the root.

    Args:
        names: paths relative to the root.
    """
    shared: list[str] | None = None
    for name in names:
        parts = PurePosixPath(name).parent.parts
        pairs = zip(shared if shared is not None else parts, parts, strict=False)
        shared = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return PurePosixPath(*shared).as_posix() if shared else "."


def split_of(name: str) -> str | None:
    """The split that a path names in one of its words, as `instances_train2017.json` or `valid/a.jpg`.

    Args:
        name: a path; the innermost word decides.
    """
    for word in reversed(_WORD.findall(name.lower())):
        for split, words in SPLIT_WORDS.items():
            if word in words:
                return split
    return None


def file_of_each_split(numbers: Mapping[str, int]) -> dict[str, str]:
    """The annotation file of each split by its path, or, as split `""`, the one that counts for all.

    Args:
        numbers: how many pictures each file lists; a file with more of them comes first.
    """
    ranked = sorted(numbers, key=lambda name: (-numbers[name], name))
    splits: dict[str, str] = {}
    for name in ranked:
        if (split := split_of(name)) is not None:
            splits.setdefault(split, name)
    if "train" in splits and len(splits) > 1:
        return {split: splits[split] for split in SPLIT_WORDS if split in splits}
    return {"": ranked[0]}


def splits_text(one: str, several: str, chosen: Iterable[str]) -> str:
    """A format and its splits, for people.

    Args:
        one: what one file is.
        several: what several files are.
        chosen: the splits that have a file, or `""` for one file.
    """
    return one if "" in chosen else f"{several} for {', '.join(chosen)}"


def is_plain(folder: str) -> bool:
    """Whether the name of a folder says nothing about its pictures: `train`, `Images`, `train_images`, `val2017`.

    Args:
        folder: its name.
    """
    words = set(_LETTERS.findall(folder.lower()))
    return not folder or (bool(words) and words <= PLAIN_FOLDERS)


def splits_by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Splits that folders define: `train/a`, `images/val/b`, `test_images/c`; empty if a picture lies in none of them.

    Args:
        names: picture names with their folders.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        folders = [part for part in PurePosixPath(name).parent.parts if is_plain(part)]
        split = next((split for part in folders if (split := split_of(part)) is not None), None)
        if split is None:
            return {}
        found.setdefault(split, []).append(name)
    return found if "train" in found else {}


def sample(items: Iterable[T], most: int) -> list[T]:
    """At most so many items, spread evenly.

    Args:
        items: the items.
        most: how many.
    """
    listed = list(items)
    step = max(1, -(-len(listed) // most))
    return listed[::step]


def is_number(cell: str) -> bool:
    """Whether the cell of a table is a number.

    Args:
        cell: its text.
    """
    try:
        float(cell)
    except ValueError:
        return False
    return True
