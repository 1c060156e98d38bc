"""Which column of a table names the pictures, and which picture a written name is likely to mean."""

from collections.abc import Collection
from urllib.parse import unquote

from mtl.data.csv_rows import Rows
from mtl.data.folder.picture_names import plain_name, without_extension
from mtl.data.formats.format import Listing, sample

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

    Args:
        rows: the table.
        known: names of pictures, without folders and extensions.
        once: whether the column must name no picture twice.
    """
    for column in rows.columns:
        cells = [row[column].strip() for row in rows.rows]
        if once and len(set(cells)) < len(cells):
            continue
        tried = sample(cells, _TRIED)
        if tried and sum(last_part(cell) in known for cell in tried) >= len(tried) / 2:
            return column
    return None
