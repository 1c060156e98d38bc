"""Lines of words from text files, checked as they are read; an error names file and line."""

import re
import unicodedata
from pathlib import Path

from mtl.data.folder.files.text_files import read_text
from mtl.data.sources.fetch import how_to_fetch

_MARKS = re.compile(r"(['\"(¿¡]*)(.*?\w.*?)([.,;:!?'\")]*)")  # at the edges of a word
_SPACE = re.compile("[ \t]+")  # no other space: a no-break space joins what it stands between


def read_lines(path: Path) -> list[str]:
    """The lines of a file, without line ends; CRLF and CR count as line ends.

    Args:
        path: the file.

    Raises:
        ValueError: for a missing or empty file, and for control characters.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}. Correct the path, or fetch the data.{how_to_fetch(path)}")
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"{str(path)!r} is empty; expected one sentence a line.")
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        check_characters(line, f"{str(path)!r}, line {number}")
    return lines


def check_characters(line: str, where: str) -> None:
    """Refuse control characters, which no text needs and a binary file is full of.

    Args:
        line: one line.
        where: file and line, for the message.

    Raises:
        ValueError: naming the character.
    """
    if line.isprintable():
        return
    for place, character in enumerate(line, start=1):
        if character != "\t" and unicodedata.category(character) == "Cc":
            raise ValueError(
                f"{where}: character {place} is the control character {character!r}. Remove it, or save the file as "
                "plain text."
            )


def words_of(line: str) -> list[str]:
    """The words of a line, split at runs of spaces and tabs.

    Args:
        line: the line.
    """
    return _SPACE.split(line.strip(" \t")) if line.strip(" \t") else []


def split_marks(word: str) -> list[str]:
    """A word with the marks at its edges as words of their own: `(boston?` is `(`, `boston` and `?`.

    Args:
        word: the word; one without a letter or a digit stays as it is.
    """
    found = _MARKS.fullmatch(word)
    if found is None:
        return [word]
    before, core, behind = found.groups()
    return [*before, core, *behind]


def check_length(words: list[str], longest: int, where: str) -> None:
    """Refuse a line that is no sentence.

    Args:
        words: the words of the line.
        longest: how many there may be.
        where: file and line, for the message.

    Raises:
        ValueError: for a line without words, and for one with too many.
    """
    if not words:
        raise ValueError(f"{where} is empty; expected a sentence. Remove the line from all files of the split.")
    if len(words) > longest:
        raise ValueError(
            f"{where} has {len(words):,} words; at most max_words={longest} are read. Split the line, or raise "
            "max_words."
        )
