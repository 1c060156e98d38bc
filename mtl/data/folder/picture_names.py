"""Match written names to pictures: splits, tables and annotation files name pictures in many ways.

`a`, `a.jpg`, `./a`, `images\\\\a.jpg`, `A.JPG` and `/data/set/images/a.jpg` may all mean the picture `a`. A match that
differs only in extension, slashes and blanks is sure. Other folders or case are guesses, made only if one picture fits.
"""

import errno
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from mtl.data.files_below import files_below
from mtl.data.images import SUFFIXES

# extensions of pictures, including formats that `mtl` cannot read, and of annotations
_ENDINGS = (*SUFFIXES, ".jpe", ".jfif", ".heic", ".avif", ".xml", ".json", ".txt")


@dataclass(frozen=True)
class Match:
    """The picture that a written name refers to.

    Args:
        name: name of the picture.
        sure: whether the names differ only in extension, slashes and blanks.
    """

    name: str
    sure: bool


def plain_name(text: str) -> str:
    """A name with forward slashes, without surrounding blanks, quotes or BOM, and without a leading `./`.

    Args:
        text: the written name.
    """
    text = text.strip().strip("\ufeff\"'").strip().replace("\\", "/")
    while text.startswith("./"):
        text = text[2:]
    return text


def without_extension(name: str) -> str:
    """A name without the extension of a picture or annotation file; other dots belong to the name.

    Args:
        name: the name.
    """
    return str(PurePosixPath(name).with_suffix("")) if name.lower().endswith(_ENDINGS) else name


def match_names(written: Iterable[str], names: Collection[str], fold_case: bool = True) -> dict[str, Match]:
    """The picture of each written name; names without a match, or with several, are omitted.

    Args:
        written: the written names.
        names: names of all pictures, without extension.
        fold_case: whether `P1` may match `p1`.
    """
    known = frozenset(names)
    matches: dict[str, Match] = {}
    rest = []
    for text in written:
        plain = plain_name(text)
        name = next((form for form in (text, plain, without_extension(plain)) if form in known), None)
        if name is None:
            rest.append(text)
        else:
            matches[text] = Match(name, True)
    if rest:
        index = _Index(known, fold_case)
        guesses = {text: index.guess(text) for text in dict.fromkeys(rest)}
        taken = {match.name for match in matches.values()}
        claims = Counter(guesses.values())
        for text, guess in guesses.items():
            if guess is not None and guess not in taken and claims[guess] == 1:
                matches[text] = Match(guess, False)
    return matches


def nearest_pictures(files: Iterable[Path], pictures: Mapping[str, Path]) -> dict[Path, Match]:
    """The picture of each file where many have the same name: `train/labels/1.xml` is of `train/images/1.jpg`.

    Of the pictures that are called like the file it is the one that shares the most folders with it.

    Args:
        files: files named like pictures, in folders beside the ones of the pictures.
        pictures: all pictures by name.

    Returns:
        What is certain: files with no such picture, or with several, are left out.
    """
    named: defaultdict[str, list[str]] = defaultdict(list)
    for name, path in pictures.items():
        named[path.stem].append(name)
    found: dict[str, tuple[int, Path]] = {}
    for file in files:
        # letters of the shared path: more of them are more folders
        near = {name: len(os.path.commonpath((file, pictures[name]))) for name in named.get(file.stem, ())}
        best = [name for name, number in near.items() if number == max(near.values())]
        if len(best) == 1 and near[best[0]] > found.get(best[0], (0, file))[0]:
            found[best[0]] = near[best[0]], file
    return {file: Match(name, True) for name, (_, file) in found.items()}


def is_file(path: Path) -> bool:
    """Whether there is a file; False for names that no file can have, such as one of 300 letters or with a NUL.

    Args:
        path: the path.
    """
    try:
        return path.is_file()
    except ValueError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EINVAL):
            raise
        return False


def find_pictures(folder: Path) -> dict[str, Path]:
    """All pictures below a folder, by their path relative to the folder, without extension.

    Args:
        folder: the folder.

    Raises:
        ValueError: if the folder is missing or empty, or two pictures have the same name.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder of pictures {str(folder)!r}. Correct `root`, or set the folder in `images`.")
    pictures: dict[str, Path] = {}
    for name, path in _walk(folder):
        if name in pictures:
            raise ValueError(f"two pictures have the name {name!r}: {pictures[name].name} and {path.name}; keep one.")
        pictures[name] = path
    if not pictures:
        raise ValueError(f"no picture ({', '.join(SUFFIXES)}) below {str(folder)!r}. Correct `root` or `images`.")
    return pictures


def picture_index(folder: Path) -> dict[str, Path]:
    """As `find_pictures`, but omits names that two pictures share, and returns an empty dict for an empty folder.

    Args:
        folder: the folder.
    """
    paths_by_name: defaultdict[str, list[Path]] = defaultdict(list)
    for name, path in _walk(folder):
        paths_by_name[name].append(path)
    return {name: paths[0] for name, paths in paths_by_name.items() if len(paths) == 1}


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in files_below(folder) if folder.is_dir() else ():
        if path.suffix.lower() in SUFFIXES:
            yield path.relative_to(folder).with_suffix("").as_posix(), path


class _Index:
    """Picture names by full path and by trailing parts of the path."""

    def __init__(self, names: Iterable[str], fold_case: bool) -> None:
        self.fold_case = fold_case
        self.whole: defaultdict[str, list[str]] = defaultdict(list)
        self.ends: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            for i, tail in enumerate(_tails(name)):
                (self.ends if i else self.whole)[self._key(tail)].append(name)

    def guess(self, text: str) -> str | None:
        plain = plain_name(text)
        # exports of annotation tools may hold names as in an address: `a%20b.png`
        for form in dict.fromkeys((plain, without_extension(plain), without_extension(unquote(plain)))):
            # the text has at least as many folders as the name
            for tail in _tails(form):
                if hits := self.whole.get(self._key(tail)):
                    return _only(hits, tail)
            # the name has more folders than the text
            if hits := self.ends.get(self._key(form)):
                return _only(hits, form)
        return None

    def _key(self, text: str) -> str:
        # macOS stores accents as separate characters
        text = unicodedata.normalize("NFC", text)
        return text.casefold() if self.fold_case else text


def _tails(name: str) -> Iterator[str]:
    parts = name.split("/")
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _only(hits: list[str], tail: str) -> str | None:
    exact = [name for name in hits if name == tail or name.endswith("/" + tail)]
    hits = exact or hits
    return hits[0] if len(hits) == 1 else None
