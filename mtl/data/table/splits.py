"""Splits of the rows of a table: from a column, or drawn from a seed, stratified, with groups kept together.

Shapes: N rows, G groups, S splits, K strata.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl.data.csv_rows import Rows
from mtl.data.folder.splits import SPLITS, check_fractions
from mtl.errors import did_you_mean

Split = dict[str, NDArray[np.int64]]  # indices of the rows of each split


def split_by_column(rows: Rows, column: str, meanings: Mapping[str, Sequence[str]] | None = None) -> Split:
    """Splits that a column names: `train`, `val` or `test`; an empty cell leaves the row out.

    Args:
        rows: the table.
        column: the column.
        meanings: the cells of each split, if they are not its name; a row with any other cell is left out.

    Raises:
        ValueError: for another cell, a cell that no row has, or without a row for training.
    """
    cells = [row[column].strip() for row in rows.rows]
    if meanings is not None:
        cells = _translated(rows.source, column, cells, meanings)
    for cell, line in zip(cells, rows.lines, strict=True):
        if cell not in ("", *SPLITS):
            raise ValueError(
                f"{rows.source}, line {line}: column {column!r} (split_column) has {cell!r}; expected "
                f"{', '.join(SPLITS)}, or nothing to leave the row out.{did_you_mean(cell, SPLITS)}"
            )
    if "train" not in cells:
        raise ValueError(f"{rows.source}: column {column!r} (split_column) has no row with 'train'.")
    return {split: _where(np.array(cells) == split) for split in SPLITS if split in cells}


def _translated(source: str, column: str, cells: Sequence[str], meanings: Mapping[str, Sequence[str]]) -> list[str]:
    splits: dict[str, str] = {}
    for split, own in meanings.items():
        if split not in SPLITS:
            raise ValueError(f"split_cells has a split {split!r}; expected {', '.join(SPLITS)}.")
        for cell in own:
            if cell in splits:
                raise ValueError(f"split_cells has {cell!r} in {splits[cell]!r} and in {split!r}; keep one.")
            if cell not in cells:
                raise ValueError(
                    f"{source}: no row has {cell!r} in column {column!r} (split_cells of {split!r}); there are "
                    f"{', '.join(sorted(set(cells)))}.{did_you_mean(cell, set(cells))}"
                )
            splits[cell] = split
    return [splits.get(cell, "") for cell in cells]


def draw_split(
    fractions: Sequence[float], seed: int, strata: Sequence[str], groups: Sequence[str] | None = None
) -> Split:
    """Random splits with equal shares of every stratum, equal on every machine; a group is never divided.

    Groups go one by one, large ones first, to the split that lacks most of what they hold; without groups every row is
    one, and each stratum is divided exactly, up to rounding.

    Args:
        fractions: shares of train, val and, optionally, test; their sum is at most 1.
        seed: random seed.
        strata: stratum of each row, N words.
        groups: group of each row, N words; an empty word is a group of its own.

    Raises:
        ValueError: if the shares are no split, or leave a split empty.
    """
    check_fractions(fractions)
    number = len(strata)
    stratum_N = np.unique(np.array(strata, dtype=str), return_inverse=True)[1]
    words = [f"={i}" if groups is None or not groups[i] else groups[i] for i in range(number)]
    group_N = np.unique(np.array(words, dtype=str), return_inverse=True)[1]
    counts_GK = np.zeros((int(group_N.max(initial=-1)) + 1, int(stratum_N.max(initial=-1)) + 1))
    np.add.at(counts_GK, (group_N, stratum_N), 1)
    shares = [*fractions, max(0.0, 1 - sum(fractions))]  # the rest is unused
    lacking_SK = np.outer(shares, counts_GK.sum(0))
    order = np.random.default_rng(seed).permutation(len(counts_GK))
    order = order[np.argsort(-counts_GK.sum(1)[order], kind="stable")]
    split_G = np.zeros(len(counts_GK), np.int64)
    for group in order:
        lack_S = (lacking_SK * counts_GK[group]).sum(1)
        split_G[group] = int(np.where(np.array(shares) > 1e-9, lack_S, -np.inf).argmax())
        lacking_SK[split_G[group]] -= counts_GK[group]
    splits = {name: _where(split_G[group_N] == index) for index, name in enumerate(SPLITS[: len(fractions)])}
    for name, chosen in splits.items():
        if not len(chosen):
            raise ValueError(
                f"fractions={list(fractions)} of {number} rows in {len(counts_GK)} groups leave split {name!r} empty."
            )
    return splits


def splits_of(
    rows: Rows,
    split_column: str | None = None,
    split_cells: Mapping[str, Sequence[str]] | None = None,
    fractions: Sequence[float] | None = None,
    split_seed: int = 0,
    stratify: str | None = None,
    group: str | None = None,
) -> Split:
    """The splits of a table by the settings of its data module, which `check_settings` has passed.

    Args:
        rows: the table.
        split_column: column that names them.
        split_cells: what its cells mean, if they are not the splits' names.
        fractions: shares of a random split, where no column names it.
        split_seed: random seed.
        stratify: column whose values get equal shares.
        group: column whose values are never divided.
    """
    groups = None if group is None else [row[group].strip() for row in rows.rows]
    if fractions is not None:
        strata = ["" if stratify is None else row[stratify].strip() for row in rows.rows]
        return draw_split(fractions, split_seed, strata, groups)
    assert split_column is not None
    splits = split_by_column(rows, split_column, split_cells)
    if group is not None:
        refuse_divided_groups(rows, group, splits)
    return splits


def check_settings(
    split_column: str | None = None,
    split_cells: Mapping[str, Sequence[str]] | None = None,
    fractions: Sequence[float] | None = None,
    stratify: str | None = None,
    **_: Any,
) -> None:
    """Refuse settings that give no splits, or two.

    Args:
        split_column: as of `splits_of`.
        split_cells: as of `splits_of`.
        fractions: as of `splits_of`.
        stratify: as of `splits_of`.

    Raises:
        ValueError: saying which setting to add or to remove.
    """
    if split_cells is not None and split_column is None:
        raise ValueError("split_cells says what the cells of `split_column` mean; set it, or remove split_cells.")
    if (split_column is None) == (fractions is None):
        raise ValueError(
            "a table needs its splits: set `split_column`, or `fractions` such as [0.7, 0.15, 0.15]; one of them."
        )
    if stratify and split_column:
        raise ValueError("stratify has no effect with split_column; remove one of them.")


def refuse_divided_groups(rows: Rows, column: str, splits: Split) -> None:
    """Refuse splits that share a group: what is known of it in training would help in the test.

    Args:
        rows: the table.
        column: column of the groups.
        splits: the splits.

    Raises:
        ValueError: naming a group and its splits.
    """
    seen: dict[str, tuple[str, int]] = {}
    for split, indices in splits.items():
        for index in indices:
            group = rows.rows[index][column].strip()
            other, line = seen.setdefault(group, (split, rows.lines[index])) if group else (split, 0)
            if other != split:
                raise ValueError(
                    f"{rows.source}: group {group!r} of column {column!r} is in split {other!r} (line {line}) and in "
                    f"{split!r} (line {rows.lines[index]}). Correct the split column, or draw the split: `fractions`."
                )


def _where(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.flatnonzero(mask).astype(np.int64)
