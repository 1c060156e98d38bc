"""Splits that tables of labels define: by a column, or by their own names."""

from pathlib import Path

from mtl.data.folder.image_labels import names_in, read_tables
from mtl.data.formats.format import SPLIT_WORDS, split_of

_PARTITION = {"0": "train", "1": "val", "2": "test"}  # of CelebA


def split_of_cell(column: str, cell: str) -> str | None:
    """The split that a cell names.

    Args:
        column: name of its column.
        cell: its text.
    """
    if column.lower() == "partition" and cell in _PARTITION:
        return _PARTITION[cell]
    return next((split for split, words in SPLIT_WORDS.items() if cell.lower() in words), None)


def splits_of_table(files: list[Path], key: str, column: str) -> dict[str, list[str]]:
    """The splits that a column of a table names.

    Args:
        files: the table, or several.
        key: column with the names of pictures.
        column: column with the splits.
    """
    found: dict[str, list[str]] = {}
    for name, row in read_tables(files, key, [column]).items():
        if split := split_of_cell(column, row.get(column, "").strip()):
            found.setdefault(split, []).append(name)
    return found


def splits_by_table(files: list[Path], key: str) -> dict[str, list[str]]:
    """The splits of several tables that are called by them, `train.csv` and `test.csv`; empty if they share a picture.

    Args:
        files: the tables.
        key: column with the names of pictures.
    """
    found: dict[str, list[str]] = {}
    for file in files:
        split = split_of(file.stem)
        if split is None:
            return {}
        found.setdefault(split, []).extend(names_in(file, key))
    names = [name for inside in found.values() for name in inside]
    return found if len(found) > 1 and "train" in found and len({*names}) == len(names) else {}
