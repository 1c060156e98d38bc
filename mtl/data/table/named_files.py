"""Files that the cells of a column name, and rows whose file cannot be used."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from mtl.data.csv_rows import Rows
from mtl.data.folder.picture_names import is_file
from mtl.errors import printable

log = logging.getLogger(__name__)
_MOST_NAMED = 10  # rows in an error


def named_file(folders: Sequence[Path], cell: str, suffixes: Sequence[str]) -> Path:
    """The file that a cell names, with or without its suffix.

    Args:
        folders: folders that the name may be relative to, the first one first.
        cell: the cell.
        suffixes: suffixes that may be left out.

    Returns:
        The file; if there is none, the path that was expected.

    Raises:
        ValueError: for an empty cell.
    """
    name = cell.strip().replace("\\", "/")
    if not name:
        raise ValueError("the cell is empty")
    paths = [folder / name for folder in folders]
    files = [file for path in paths for file in (path, *(path.with_name(path.name + suffix) for suffix in suffixes))]
    expected = paths[0] if paths[0].suffix.lower() in suffixes else files[1]
    return next((file for file in files if is_file(file)), expected)


def usable_rows(
    rows: Rows,
    faults: Mapping[int, str],
    split: str,
    what: str,
    setting: str,
    on_fault: Literal["error", "skip"],
    places: str,
) -> list[int]:
    """The places of the rows that can be used.

    Args:
        rows: the rows of a split.
        faults: what is wrong, by the place of the row.
        split: the split, for the message.
        what: for example `recordings`.
        setting: name of the argument that `on_fault` is the value of.
        on_fault: `error`, or `skip`, which leaves out these rows with a warning.
        places: names of the arguments that say where the files are.

    Raises:
        ValueError: naming the rows, if there are some and `on_fault` is `error`, or if no row is left.
    """
    whole = f"{rows.source}: {len(faults)} of {len(rows.rows)} {what} of split {split!r}"
    first = [f"line {rows.lines[place]}: {printable(why)}" for place, why in list(faults.items())[:_MOST_NAMED]]
    shown = "; ".join(first) + (f"; and {len(faults) - len(first)} more" if len(faults) > len(first) else "")
    if faults and (on_fault == "error" or len(faults) == len(rows.rows)):
        how = f"or set {setting}: skip" if len(faults) < len(rows.rows) else f"or {places}, which say where they are"
        raise ValueError(f"{whole} cannot be used: {shown}. Correct them, {how}.")
    if faults:
        log.warning("%s are left out: %s", whole, shown)
    return [place for place in range(len(rows.rows)) if place not in faults]
