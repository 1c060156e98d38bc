"""Splits of rows: exact strata, whole groups, equal on every machine; a split column with its errors."""

from collections import Counter

import numpy as np
import pytest

from mtl.data.csv_rows import Rows
from mtl.data.table.splits import draw_split, refuse_divided_groups, split_by_column


def rows(**columns: list[str]) -> Rows:
    names = tuple(columns)
    cells = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return Rows("'t.csv'", names, cells, list(range(2, 2 + len(cells))))


def test_every_stratum_is_divided_by_the_shares_and_every_row_is_used_once() -> None:
    strata = ["a"] * 70 + ["b"] * 20 + ["c"] * 10
    splits = draw_split([0.6, 0.2, 0.2], 0, strata)
    for split, share in zip(splits.values(), (0.6, 0.2, 0.2), strict=True):
        counted = Counter(strata[i] for i in split)
        assert counted == {"a": 70 * share, "b": 20 * share, "c": 10 * share}
    assert sorted(np.concatenate(list(splits.values()))) == list(range(100))


def test_the_seed_decides_and_a_rest_is_left_out() -> None:
    first, again, other = (draw_split([0.5, 0.3], seed, [""] * 40) for seed in (1, 1, 2))
    assert {name: split.tolist() for name, split in first.items()} == {n: s.tolist() for n, s in again.items()}
    assert first["train"].tolist() != other["train"].tolist()
    assert [len(split) for split in first.values()] == [20, 12]


def test_shares_of_thirds_lose_no_row_to_rounding() -> None:
    splits = draw_split([0.7, 0.15, 0.15], 0, ["a"] * 7 + ["b"] * 6)
    assert sum(len(split) for split in splits.values()) == 13


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_divided_and_shares_are_near(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"p{i}" for i in rng.integers(60, size=400)]
    strata = [str(int(rng.random() < 0.3)) for _ in groups]
    splits = draw_split([0.6, 0.2, 0.2], seed, strata, groups)
    of_group = {}
    for name, indices in splits.items():
        for index in indices:
            assert of_group.setdefault(groups[index], name) == name
    assert sorted(np.concatenate(list(splits.values()))) == list(range(400))
    for share, indices in zip((0.6, 0.2, 0.2), splits.values(), strict=True):
        assert abs(len(indices) / 400 - share) < 0.05
        ill = np.mean([strata[i] == "1" for i in indices])
        assert abs(ill - np.mean([s == "1" for s in strata])) < 0.08


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    splits = draw_split([0.5, 0.5], 0, [""] * 10, [""] * 10)
    assert [len(split) for split in splits.values()] == [5, 5]


def test_one_group_cannot_fill_two_splits() -> None:
    with pytest.raises(ValueError, match="10 rows in 1 groups leave split 'val' empty"):
        draw_split([0.5, 0.5], 0, [""] * 10, ["same"] * 10)
    with pytest.raises(ValueError, match="must be 2 or 3 shares"):
        draw_split([0.5, 0.9], 0, [""] * 10)


def test_a_column_names_the_splits_and_an_empty_cell_leaves_a_row_out() -> None:
    table = rows(split=["train", "test", "", "train", "val "])
    found = {name: indices.tolist() for name, indices in split_by_column(table, "split").items()}
    assert found == {"train": [0, 3], "val": [4], "test": [1]}
    with pytest.raises(ValueError, match="line 3: column 'split' .split_column. has 'tset'.*Did you mean 'test'"):
        split_by_column(rows(split=["train", "tset"]), "split")
    with pytest.raises(ValueError, match="no row with 'train'"):
        split_by_column(rows(split=["test"]), "split")


def test_a_group_in_two_splits_is_refused_by_name() -> None:
    table = rows(split=["train", "train", "test", "test"], who=["a", "", "", "a"])
    splits = split_by_column(table, "split")
    with pytest.raises(ValueError, match="group 'a' of column 'who' is in split 'train' .line 2.*'test' .line 5"):
        refuse_divided_groups(table, "who", splits)
    refuse_divided_groups(rows(split=["train", "test"], who=["a", "b"]), "who", splits={"train": np.array([0])})
    assert len(splits["test"]) == 2
