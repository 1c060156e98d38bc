"""Masks: for each picture a file with the number or the colour of a class in every pixel."""

import re
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from mtl.data.folder.files.text_files import read_text
from mtl.data.formats.format import FolderFormat, Listing, Part, sample
from mtl.data.formats.mask_pairs import MaskPair, arguments_of, pairs_of
from mtl.data.images import read_indices

_MOST_READ = 2000  # files whose numbers are read
_MOST_UNNAMED = 64  # classes without names; more of them are rather depths or ids
_LISTS = ("classes.txt", "labels.txt", "class_names.txt", "names.txt")
_VOID = 255  # the usual number of "not annotated"
_RGB = r"\d+[\s,;]+\d+[\s,;]+\d+"
_NUMBER_NAME = re.compile(r"\s*(?P<number>\d{1,5})\s*[,;\t](?P<name>[^,;\t]*[^,;\t\d\s][^,;\t]*)")
_COLOR_FIRST = re.compile(rf"(?P<rgb>{_RGB})[\s,;]+(?P<name>\S.*)")
_NAME_FIRST = re.compile(rf"(?P<name>[^,;:]*[^,;:\d\s][^,;:]*)[,;:]\s*(?P<rgb>{_RGB})\b")


class Masks(FolderFormat):
    """Picture files of one channel, with a palette, or of few colours, in their own folder or beside the pictures."""

    gives = "maps"
    order = -1  # the others must not take masks for pictures

    def find(self, files: Listing) -> Part | None:
        pairs = pairs_of(files, _is_mask)
        if not pairs:
            return None
        images, spec = arguments_of(pairs)
        notes: list[str] = []
        if not (_colors if _is_colored(pairs, files.root) else _numbers)(pairs, files, spec, notes):
            return None
        below = tuple(name for pair in pairs for name in pair.masks)
        place = spec["folder"] if spec["folder"] != "." else ", ".join(pair.mask_folder for pair in pairs[:3])
        arguments = {"images": images, "map_tasks": {"mask": spec}}
        return Part(f"masks in {place}", arguments, {"mask": "segmentation"}, notes=tuple(notes), maps=below)


def _numbers(pairs: list[MaskPair], files: Listing, spec: dict[str, Any], notes: list[str]) -> bool:
    """Describe masks of numbers; False if there are too many for classes."""
    below, some = _read(pairs)
    numbers = sorted({number for name in below for number in np.unique(read_indices(files.root / name)).tolist()})
    void = (_VOID in numbers and len(numbers) > 2) or numbers == [1, _VOID]
    known = [number for number in numbers if not void or number != _VOID]
    names, place = _names(files, known), pairs[0].mask_folder
    if [*names] == list(range(len(names))) and names:
        spec["classes"] = [*names.values()]
    elif names:
        spec["groups"] = {name: [number] for number, name in names.items() if not (void and number == _VOID)}
    elif known == [0, _VOID]:
        spec["groups"] = {"background": [0], "foreground": [_VOID]}
    elif known == list(range(len(known))):
        spec["classes"] = [f"class_{number}" for number in known]
        notes.append(f"name the classes of {place}: their numbers are {known[0]} to {known[-1]}.")
    elif len(known) <= _MOST_UNNAMED:
        spec["groups"] = {f"class_{number}": [number] for number in known}
        notes.append(f"name the classes of {place}: they are called by their numbers{some}.")
    else:
        return False
    if void:
        spec["ignore"] = [_VOID]
        notes.append(f"{_VOID} in {place} counts as not annotated.")
    return True


def _colors(pairs: list[MaskPair], files: Listing, spec: dict[str, Any], notes: list[str]) -> bool:
    below, some = _read(pairs)
    codes = {code for name in below for code in np.unique(read_indices(files.root / name, colors=True)).tolist()}
    if len(codes) > _MOST_UNNAMED:
        return False
    names = _color_names(files)
    if codes <= names.keys():
        spec["groups"] = {}
        for code, name in names.items():
            spec["groups"].setdefault(name, []).append([*code.to_bytes(3, "big")])
    else:
        spec["groups"] = {f"class_{code:06x}": [[*code.to_bytes(3, "big")]] for code in sorted(codes)}
        notes.append(f"name the classes of {pairs[0].mask_folder}: they are called by their colours{some}.")
    return True


def _read(pairs: list[MaskPair]) -> tuple[list[str], str]:
    """The files whose values are read, and a note where these are not all."""
    below = [name for pair in pairs for name in pair.masks]
    chosen = sample(below, _MOST_READ)
    return chosen, "" if len(chosen) == len(below) else f", found in {len(chosen)} of {len(below)} files"


def _is_mask(path: Path) -> bool:
    """Few numbers or colours; a photograph has many."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L", "LA", "I;16", "I", "1", "RGB", "RGBA"):
                return False
            few = image.convert("RGB").getcolors(_MOST_UNNAMED) if image.mode in ("LA", "RGB", "RGBA") else None
            return few is not None or (
                image.mode not in ("LA", "RGB", "RGBA") and len(np.unique(np.asarray(image))) <= _MOST_UNNAMED
            )
    except (OSError, ValueError):
        return False


def _is_colored(pairs: list[MaskPair], root: Path) -> bool:
    for name in sample([name for pair in pairs for name in pair.masks], 20):
        try:
            read_indices(root / name)
        except ValueError:
            return True
    return False


def _names(files: Listing, numbers: list[int]) -> dict[int, str]:
    """Class names of a list by their numbers, in ascending order; empty if no list names all the numbers.

    It has one a line, with or without a number before them, or is a table of both, as `_classes.csv` of Roboflow.
    """
    for name in _LISTS:
        if (files.root / name).is_file():
            lines = [line.split() for line in read_text(files.root / name).splitlines() if line.strip()]
            numbered = [words[0].strip(":,") for words in lines] == [str(number) for number in range(len(lines))]
            found = [" ".join(words[1:] if numbered and len(words) > 1 else words) for words in lines]
            if max(numbers) < len(found):
                return dict(enumerate(found))
    for name in files.of_type(".csv"):
        if re.search("class|label", PurePosixPath(name).name, re.IGNORECASE):
            with suppress(ValueError):  # no text
                matches = [_NUMBER_NAME.fullmatch(line) for line in read_text(files.root / name).splitlines()]
                rows = {int(match["number"]): match["name"].strip() for match in matches if match}
                if rows.keys() >= {*numbers} and len({*rows.values()}) == len(rows):  # rows of pictures repeat a class
                    return dict(sorted(rows.items()))
    return {}


def _color_names(files: Listing) -> dict[int, str]:
    """Class names by colour, of a list such as `class_dict.csv` (name,r,g,b) or `labelmap.txt` (name:r,g,b::)."""
    for file in files.of_type(".txt", ".csv"):
        if not re.search("class|label|colou?r", PurePosixPath(file).name, re.IGNORECASE):
            continue
        found: dict[int, str] = {}
        for line in read_text(files.root / file).splitlines():
            plain = line.split("#")[0].strip()
            if match := _COLOR_FIRST.match(plain) or _NAME_FIRST.match(plain):
                numbers = [int(number) for number in re.split(r"[\s,;]+", match["rgb"])]
                if max(numbers) <= 255:
                    found[int.from_bytes(bytes(numbers), "big")] = match["name"].strip().strip(",;:")
        if len(found) > 1:
            return found
    return {}
