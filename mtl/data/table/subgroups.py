"""Subgroups of the rows of a table: by the cells of a column, or by a number between edges.

Shapes: N rows.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from mtl.data.csv_rows import Rows
from mtl.data.table.columns import MISSING
from mtl.targets.numbers import number


def subgroups_of(rows: Rows, column: str, edges: Sequence[float] | None = None) -> list[str]:
    """The name of each row's subgroup, N words; "" where the cell is empty or means "not known".

    Args:
        rows: the table.
        column: the column.
        edges: where one group of numbers ends and the next begins, ascending; a number at an edge is in the upper one.

    Raises:
        ValueError: for edges that do not ascend, or a cell that is no number though there are edges.
    """
    cells = [row[column].strip() for row in rows.rows]
    if edges is None:
        return ["" if cell in MISSING else cell for cell in cells]
    if not edges or sorted(set(edges)) != list(edges):
        raise ValueError(f"subgroups of column {column!r} have the edges {list(edges)}; give numbers that ascend.")
    names = [f"below {edges[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(edges))]
    names.append(f"{edges[-1]:g} and above")
    found = []
    for cell, line in zip(cells, rows.lines, strict=True):
        value = None if cell in MISSING else number(cell, f"{rows.source}, line {line}, column {column!r}")
        found.append("" if value is None else names[bisect_right(list(edges), value)])
    return found
