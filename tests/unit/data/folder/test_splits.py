"""Splits from files or random from the seed, without overlap."""

from pathlib import Path

import pytest

from mtl.config.explain import blame
from mtl.config.merge import read_config
from mtl.data.folder.picture_folder import PictureFolder
from mtl.data.folder.splits import draw_splits, read_splits

NAMES = [f"n{i}" for i in range(20)]


def test_drawn_splits_are_disjoint_and_of_the_asked_size() -> None:
    splits = draw_splits(NAMES, [0.5, 0.3, 0.2], seed=0)
    assert {split: len(names) for split, names in splits.items()} == {"train": 10, "val": 6, "test": 4}
    assert sorted(name for names in splits.values() for name in names) == sorted(NAMES)


def test_a_draw_does_not_depend_on_the_order_of_files_but_on_the_seed() -> None:
    assert draw_splits(NAMES, [0.5, 0.5], 1) == draw_splits(NAMES[::-1], [0.5, 0.5], 1)
    assert draw_splits(NAMES, [0.5, 0.5], 1) != draw_splits(NAMES, [0.5, 0.5], 2)


@pytest.mark.parametrize("fractions", [[1.0], [0.5, 0.6], [0.5, 0.0, 0.5], [0.2] * 4])
def test_rejects_shares_that_are_none(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="2 or 3 shares above 0"):
        draw_splits(NAMES, fractions, 0)


def test_rejects_an_empty_split() -> None:
    with pytest.raises(ValueError, match="split 'test' empty"):
        draw_splits(NAMES[:3], [0.5, 0.4, 0.1], 0)


def test_files_are_read_and_a_missing_one_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\n\n b/c \n")
    (tmp_path / "test.txt").write_text("d")
    assert read_splits(tmp_path) == {"train": ["a", "b/c"], "test": ["d"]}


def test_without_files_the_error_names_both_ways(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file 'train.txt'.*Write train.txt.*or use a random split: `fractions"):
        read_splits(tmp_path)


def test_missing_files_blame_the_line_of_the_splits(tmp_path: Path) -> None:
    lines = ["data:", "  class_path: PictureFolder", "  init_args:", "    splits: nowhere", "    augment:"]
    lines += ["      class_path: Augment", "      init_args: {brightness: 0.15}"]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="no file") as error:
        read_splits(tmp_path / "nowhere")
    origin = blame(error.value, read_config([tmp_path / "mine.yaml"], []), PictureFolder)
    assert origin is not None
    assert origin.line == 4
