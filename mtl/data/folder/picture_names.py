"""Which picture a text means: splits, tables and annotation files name pictures in many ways.

`a`, `a.jpg`, `./a`, `images\\\\a.jpg`, `A.JPG` and `/data/set/images/a.jpg` may all mean the picture `a`. What differs
in extension, slashes and blanks only is sure. Folders and case are guessed, and only where one picture alone fits.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mtl.data.images import SUFFIXES

# of pictures, also in formats that nobody here reads, and of their annotations
_ENDINGS = (*SUFFIXES, ".jpe", ".jfif", ".heic", ".avif", ".xml", ".json", ".txt")


@dataclass(frozen=True)
class Match:
    """The picture that a text means.

    Args:
        name: the picture's name.
        sure: whether the two differ in extension, slashes and blanks at most.
    """

    name: str
    sure: bool


def plain_name(text: str) -> str:
    """A name with forward slashes, without blanks, quotes or a BOM around it, and without `./` in front.

    Args:
        text: the name as it is written.
    """
    text = text.strip().strip("\ufeff\"'").strip().replace("\\", "/")
    while text.startswith("./"):
        text = text[2:]
    return text


def without_extension(name: str) -> str:
    """A name without the extension of a picture or an annotation; any other dot belongs to the name.

    Args:
        name: the name.
    """
    return str(PurePosixPath(name).with_suffix("")) if name.lower().endswith(_ENDINGS) else name


def match_names(written: Iterable[str], names: Collection[str], fold_case: bool = True) -> dict[str, Match]:
    """The pictures that texts mean; a text that means none, or one of several, is left out.

    Args:
        written: the texts.
        names: names of all pictures, without extension.
        fold_case: whether `P1` may mean `p1`.
    """
    known = frozenset(names)
    found: dict[str, Match] = {}
    rest = []
    for text in written:
        plain = plain_name(text)
        name = next((form for form in (text, plain, without_extension(plain)) if form in known), None)
        if name is None:
            rest.append(text)
        else:
            found[text] = Match(name, True)
    if rest:
        index = _Index(known, fold_case)
        guesses = {text: index.guess(text) for text in dict.fromkeys(rest)}
        taken = {match.name for match in found.values()}
        claims = Counter(guesses.values())
        for text, guess in guesses.items():
            if guess is not None and guess not in taken and claims[guess] == 1:
                found[text] = Match(guess, False)
    return found


def find_pictures(folder: Path) -> dict[str, Path]:
    """Every picture below a folder, by its path relative to the folder without extension.

    Args:
        folder: the folder.

    Raises:
        ValueError: if the folder is missing, empty, or has two pictures of one name.
    """
    if not folder.is_dir():
        raise ValueError(f"no folder of pictures {str(folder)!r}. Correct `root`, or name the folder in `images`.")
    pictures: dict[str, Path] = {}
    for name, path in _walk(folder):
        if name in pictures:
            raise ValueError(f"two pictures are called {name!r}: {pictures[name].name} and {path.name}; keep one.")
        pictures[name] = path
    if not pictures:
        raise ValueError(f"no picture ({', '.join(SUFFIXES)}) below {str(folder)!r}. Correct `root` or `images`.")
    return pictures


def picture_index(folder: Path) -> dict[str, Path]:
    """As `find_pictures`, without names that two pictures have, and empty where there is nothing.

    Args:
        folder: the folder.
    """
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for name, path in _walk(folder):
        found[name].append(path)
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            yield path.relative_to(folder).with_suffix("").as_posix(), path


class _Index:
    """Names by what they end in."""

    def __init__(self, names: Iterable[str], fold_case: bool) -> None:
        self.fold_case = fold_case
        self.whole: defaultdict[str, list[str]] = defaultdict(list)
        self.ends: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            for i, tail in enumerate(_tails(name)):
                (self.ends if i else self.whole)[self._key(tail)].append(name)

    def guess(self, text: str) -> str | None:
        plain = plain_name(text)
        for form in dict.fromkeys((plain, without_extension(plain))):
            # the text has more folders than the name, or as many
            for tail in _tails(form):
                if hits := self.whole.get(self._key(tail)):
                    return _only(hits, tail)
            # the name has more folders than the text
            if hits := self.ends.get(self._key(form)):
                return _only(hits, form)
        return None

    def _key(self, text: str) -> str:
        # macOS writes an accent as a letter of its own
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
