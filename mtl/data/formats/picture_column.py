"""Which column of a table names the pictures, and which picture a written name is likely to mean."""

from collections.abc import Collection
from urllib.parse import unquote

from mtl.data.csv_rows import Rows
from mtl.data.folder.picture_names import plain_name, without_extension
from mtl.data.formats.format import Listing, sample
from mtl.data.images import SUFFIXES

_TRIED = 500


def pictures_by_name(files: Listing) -> dict[str, str]:
    """Pictures by their name without folders and extension; of several, the first.

    Args:
        files: the files of the folder.
    """
    known: dict[str, str] = {}
    for name in files.pictures:
        known.setdefault(last_part(name), name)
    return known


def last_part(cell: str) -> str:
    """The name of a picture without folders and extension.

    Args:
        cell: as written; in an address `%20` is a blank.
    """
    return unquote(without_extension(plain_name(cell)).rsplit("/", 1)[-1])


def picture_column(rows: Rows, known: Collection[str], once: bool = False) -> str | None:
    """The column that names pictures in at least half of its rows.

    Of several, one of file names counts: a number of a row, an id or a side may be the name of another picture. Then
    the first one counts.

    Args:
        rows: the table.
        known: names of pictures, without folders and extensions.
        once: whether, of columns of file names or of other columns, one that names no picture twice comes first.
    """
    found: list[tuple[bool, bool, str]] = []
    for column in rows.columns:
        cells = [row[column].strip() for row in rows.rows]
        tried = sample(cells, _TRIED)
        if tried and sum(last_part(cell) in known for cell in tried) >= len(tried) / 2:
            of_files = sum(plain_name(cell).lower().endswith(SUFFIXES) for cell in tried) >= len(tried) / 2
            found.append((not of_files, once and len(set(cells)) < len(cells), column))
    return min(found, key=lambda one: one[:2], default=(True, True, None))[2]
