"""The pictures that a command line names: files, folders, patterns, lists of names, and names on the standard input."""

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mtl.data.folder.files.text_files import read_text
from mtl.data.images import SUFFIXES

_MARKS = ("*", "?", "[")


def list_pictures(words: Sequence[str], stdin: Iterable[str] | None = None) -> list[Path]:
    """The folders and pictures that words name, each once.

    Args:
        words: `a.jpg`, `folder`, `folder/**/*.jpg`, `names.txt` (one name a line, relative to it), or `-` for names on
            the standard input, one a line.
        stdin: lines of the standard input, for tests.

    Raises:
        ValueError: for a word that names nothing, and for a list without a picture.
    """
    found: dict[Path, None] = {}
    for word in words:
        if word == "-":
            lines = sys.stdin if stdin is None else stdin
            named = [Path(line.strip()) for line in lines if line.strip()]
            _refuse_missing(named, "the standard input")
        elif _is_list(word) and Path(word).is_file():
            lines = [line.strip() for line in read_text(Path(word)).splitlines() if line.strip()]
            # as written, or relative to the list
            named = [Path(line) if Path(line).exists() else Path(word).parent / line for line in lines]
            _refuse_missing(named, f"the list {word!r}")
        elif Path(word).exists():
            named = [Path(word)]
        elif any(mark in word for mark in _MARKS):
            named = [Path(name) for name in sorted(glob.glob(word, recursive=True))]
            named = [path for path in named if path.is_dir() or path.suffix.lower() in SUFFIXES]
            if not named:
                raise ValueError(f"no picture ({', '.join(SUFFIXES)}) matches {word!r}.")
        else:
            raise FileNotFoundError(
                f"there is no folder {word!r}; --images takes folders, pictures, patterns such as 'a/*.jpg', a list of "
                "names (.txt), or - for names on the standard input."
            )
        found |= dict.fromkeys(named)
    if words and not found:
        raise ValueError(f"--images {' '.join(words)} names no picture.")
    return list(found)


def _is_list(word: str) -> bool:
    return word.lower().endswith((".txt", ".lst"))


def _refuse_missing(paths: Sequence[Path], where: str) -> None:
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"{where} names {len(missing)} of {len(paths)} files that are not there; the first is {str(missing[0])!r} "
            f"(working directory {os.getcwd()!r})."
        )
