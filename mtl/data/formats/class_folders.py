"""Class folders: a folder of pictures for each class, below folders of splits or not."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from mtl.data.formats.format import FolderFormat, Listing, Part, common_folder, is_plain

_FEWEST = 2  # pictures of a class, on average
_WORD_AND_NUMBER = re.compile(r"([^\W\d_]{2,})[ ._-]?\d")
_NUMBER = re.compile(r"\d+")
_CLASS_WORDS = ("class", "cls", "c", "category", "label", "grade", "stage", "type", "level", "n")  # n: of WordNet


class PicturesByClass(FolderFormat):
    """Pictures in folders whose names are the classes."""

    gives = "folders"
    order = 5

    def hint(self, files: Listing) -> str:
        inside = [[part for part in PurePosixPath(name).parent.parts if not is_plain(part)] for name in files.pictures]
        names = sorted({parts[0] for parts in inside if parts})
        if len(names) == 1 and len({PurePosixPath(name).parent for name in files.pictures}) == 1:
            return f"One folder of a class, {names[0]!r}, leaves nothing to tell apart: add a folder of other pictures."
        if words := _in_names(files.pictures):
            return (
                f"If the names of pictures hold classes, such as {words[0]!r} and {words[1]!r}, move the pictures of "
                f"each into a folder: {words[0]}/a.jpg."
            )
        if len(names) < 2:
            return ""
        if len(files.pictures) < _FEWEST * len(names):
            return (
                f"{len(files.pictures)} pictures in {len(names)} folders are too few: a class needs {_FEWEST} on "
                "average, and each split a picture."
            )
        if alone := [name for name, parts in zip(files.pictures, inside, strict=True) if not parts]:
            return f"If {names[0]!r} and {names[1]!r} are classes, {alone[0]} must not lie beside them: move it away."
        return (
            f"If {names[0]!r} and {names[1]!r} are classes, their pictures must lie in them without folders between: "
            f"{names[0]}/a.jpg. If they hold the classes, give one of them."
        )

    def find(self, files: Listing) -> Part | None:
        parents = [PurePosixPath(name).parent for name in files.pictures]
        classes = Counter(parent.name for parent in parents)
        if len(classes) < 2 or any(is_plain(name) for name in classes):
            return None
        if len(files.pictures) < _FEWEST * len(classes):
            return None
        folder = common_folder(files.pictures)
        # `train/cat` and `test/cat` are one class; `a/left` and `b/left` are not classes
        tops = {PurePosixPath(*parent.relative_to(folder).parts[:-1]).as_posix().lower() for parent in parents}
        if not all(top == "." or split_word(top) for top in tops):
            return None
        arguments = {} if folder == "." else {"images": folder}
        text, tasks = f"{len(classes)} folders of classes", {"label": "classification"}
        return Part(text, arguments, tasks, "ClassFolders", in_doubt=_numbered(sorted(classes)))


def _numbered(names: list[str]) -> str:
    """Why folders are rather parts or persons than classes: `part_1` and `part_2`, `P001` and `P002`; or nothing."""
    words = {_NUMBER.sub("", name) for name in names}
    if len(words) > 1 or (word := "".join(filter(str.isalpha, words.pop())).lower()) in _CLASS_WORDS or not word:
        return ""
    return (
        f"{len(names)} folders such as {names[0]} and {names[-1]} differ only in a number and are not taken for "
        "classes, as the table has some. If each is a person or a place, `--group '^([^/]+)/'` keeps it in one split."
    )


def split_word(folder: str) -> bool:
    """Whether a folder is one of a split.

    Args:
        folder: its path.
    """
    return is_plain(folder) and folder not in ("labels", "masks")


def _in_names(pictures: Sequence[str]) -> list[str]:
    """The words before the numbers in the names of most pictures, as in `cat.0.jpg`, if there are several."""
    found = Counter(match[1] for name in pictures if (match := _WORD_AND_NUMBER.match(PurePosixPath(name).name)))
    words = [word for word, number in found.items() if number >= _FEWEST]
    return sorted(words) if len(words) > 1 and sum(found.values()) > len(pictures) / 2 else []
