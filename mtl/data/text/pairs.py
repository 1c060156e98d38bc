"""Pairs of sentences, one a line with a tab between."""

from pathlib import Path

from mtl.data.text.lines import read_lines


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """The first two columns of a file.

    Args:
        path: the file; further columns, such as an attribution, are left alone.

    Raises:
        ValueError: naming file and line, for a line without two columns.
    """
    pairs = []
    for number, line in enumerate(read_lines(path), start=1):
        first, *rest = line.split("\t")
        if not rest or not first.strip() or not rest[0].strip():
            raise ValueError(f"{str(path)!r}, line {number} has no two sentences with a tab between.")
        pairs.append((first.strip(), rest[0].strip()))
    return pairs


def read_numbers(path: Path, below: int) -> list[int]:
    """Numbers, one a line, such as the lines of a split.

    Args:
        path: the file.
        below: how many things there are to choose from.

    Raises:
        ValueError: naming file and line, for what is no number or too large.
    """
    found = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip().isdecimal() or int(line) >= below:
            raise ValueError(f"{str(path)!r}, line {number} is {line!r}; expected a number from 0 to {below - 1}.")
        found.append(int(line))
    return found
