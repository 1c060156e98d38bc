"""Masks: for each picture a file of the same name in another folder, with the number of a class in every pixel."""

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from mtl.data.folder.files.text_files import read_text
from mtl.data.formats.format import FolderFormat, Listing, Part, sample
from mtl.data.images import read_indices

_MOST_READ = 2000  # files whose numbers are read
_MOST_UNNAMED = 64  # classes without names; more of them are rather depths or ids
_MOST_CLASSES = 256
_LISTS = ("classes.txt", "labels.txt", "class_names.txt", "names.txt")
_VOID = 255  # the usual number of "not annotated"


class Masks(FolderFormat):
    """PNG files of one channel or with a palette, named as the pictures."""

    gives = "maps"
    order = -1  # the others must not take masks for pictures

    def find(self, files: Listing) -> Part | None:
        by_folder: dict[str, list[str]] = defaultdict(list)
        for name in files.pictures:
            by_folder[PurePosixPath(name).parent.as_posix()].append(name)
        tops = _tops(by_folder, files.root)
        if tops is None:
            return None
        pictures, masks, suffix = tops
        below = _below(files, masks)
        numbers = _numbers([files.root / name for name in sample(below, _MOST_READ)])
        known, ignore = [number for number in numbers if number != _VOID], [_VOID] if _VOID in numbers else []
        names = _names(files.root)
        notes = []
        spec: dict[str, Any] = {"folder": masks}
        if names and max(known) < len(names):
            spec["classes"] = names
        elif known == list(range(len(known))):
            spec["classes"] = [f"class_{number}" for number in known]
            notes.append(f"name the classes of {masks}: their numbers are {known[0]} to {known[-1]}.")
        elif len(known) <= _MOST_UNNAMED:
            spec["groups"] = {f"class_{number}": [number] for number in known}
            some = "" if len(below) <= _MOST_READ else f", found in {_MOST_READ} of {len(below)} files"
            notes.append(f"name the classes of {masks}: they are called by their numbers{some}.")
        else:
            return None
        if ignore:
            spec["ignore"] = ignore
        if suffix != ".png":
            spec["suffix"] = suffix
        arguments = {"images": pictures, "map_tasks": {"mask": spec}}
        return Part(f"masks in {masks}", arguments, {"mask": "segmentation"}, notes=tuple(notes))


def _tops(by_folder: dict[str, list[str]], root: Path) -> tuple[str, str, str] | None:
    """The folders of pictures and of masks, and the extension of the masks; None where no pair fits."""
    stems = {folder: {PurePosixPath(name).stem for name in names} for folder, names in by_folder.items()}
    for folder, names in by_folder.items():
        if len(names) < 2 or not all(_is_mask(root / name) for name in sample(names, 5)):
            continue
        for other in by_folder:
            twin = len(stems[folder] & stems[other]) >= 0.8 * len(stems[folder])
            if other != folder and twin and not _is_mask(root / by_folder[other][0]):
                top, twin_top = _without_shared_end(folder, other)
                return twin_top, top, PurePosixPath(names[0]).suffix
    return None


def _without_shared_end(first: str, second: str) -> tuple[str, str]:
    """`masks/train` and `images/train` are `masks` and `images`."""
    left, right = list(PurePosixPath(first).parts), list(PurePosixPath(second).parts)
    while len(left) > 1 and len(right) > 1 and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return PurePosixPath(*left).as_posix(), PurePosixPath(*right).as_posix()


def _below(files: Listing, folder: str) -> list[str]:
    return [name for name in files.pictures if name.startswith(f"{folder}/")]


def _is_mask(path: Path) -> bool:
    """Few numbers in one channel; a grey photograph has many."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "I;16", "I", "1"):
                return False
            values = np.asarray(image)
    except (OSError, ValueError):
        return False
    return len(np.unique(values)) <= min(_MOST_CLASSES, 64)


def _numbers(paths: list[Path]) -> list[int]:
    found: set[int] = set()
    for path in paths:
        found |= set(read_indices(str(path)).unique().tolist())
    return sorted(found)


def _names(root: Path) -> list[str]:
    """Class names of a list, one a line, with or without a number before them."""
    for name in _LISTS:
        if (root / name).is_file():
            lines = [line.split() for line in read_text(root / name).splitlines() if line.strip()]
            numbered = [words[0].strip(":,") for words in lines] == [str(number) for number in range(len(lines))]
            return [" ".join(words[1:] if numbered and len(words) > 1 else words) for words in lines]
    return []
