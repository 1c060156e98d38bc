"""Stratified splits: shares by label, groups that stay together, and the paper's order."""

from collections import Counter

import numpy as np
import pytest

from mtl.data.folder.stratify import stratified_splits


def counts(splits: dict[str, list[str]], labels: dict[str, list[str]]) -> dict[str, Counter[str]]:
    return {split: Counter(label for name in names for label in labels[name]) for split, names in splits.items()}


def test_every_label_has_its_share() -> None:
    # 20 a, 10 b, 10 with both; 50/25/25 % can be met exactly
    labels = {f"a{i}": ["a"] for i in range(20)} | {f"b{i}": ["b"] for i in range(10)}
    labels |= {f"c{i}": ["a", "b"] for i in range(10)}
    found = counts(stratified_splits(labels, (0.5, 0.25, 0.25)), labels)
    # b, of which there are 20, is rarer than a and is served first: 10, 5, 5 of it
    assert [found[split]["b"] for split in ("train", "val", "test")] == [10, 5, 5]
    assert sum(abs(found[split]["a"] - wanted) for split, wanted in zip(found, (15, 7.5, 7.5), strict=True)) <= 4


def test_a_rare_label_is_in_every_split_where_a_random_split_misses_it() -> None:
    labels = {f"p{i:03d}": ["common"] for i in range(95)} | {f"q{i}": ["rare"] for i in range(5)}
    found = counts(stratified_splits(labels, (0.6, 0.2, 0.2)), labels)
    assert [found[split]["rare"] for split in found] == [3, 1, 1]


def test_every_picture_is_in_one_split_and_the_seed_decides_which() -> None:
    rng = np.random.default_rng(0)
    labels = {f"p{i}": [str(c) for c in rng.integers(5, size=rng.integers(0, 4))] for i in range(60)}
    first, again, other = (stratified_splits(labels, (0.7, 0.15, 0.15), seed=seed) for seed in (0, 0, 1))
    assert sorted(name for names in first.values() for name in names) == sorted(labels)
    assert first == again != other
    assert [len(names) for names in first.values()] == pytest.approx([42, 9, 9], abs=3)


def test_groups_are_never_divided() -> None:
    labels = {f"v{video}_{frame}": ["car"] for video in range(10) for frame in range(5)}
    splits = stratified_splits(labels, (0.6, 0.2, 0.2), {name: name.split("_")[0] for name in labels})
    assert [len(names) for names in splits.values()] == [30, 10, 10]
    assert sum(len({name.split("_")[0] for name in names}) for names in splits.values()) == 10


def test_no_split_is_empty_and_too_few_groups_are_refused() -> None:
    assert all(stratified_splits({"a": [], "b": [], "c": []}, (0.9, 0.05, 0.05)).values())
    with pytest.raises(ValueError, match="2 pictures in 1 groups cannot be divided into 3"):
        stratified_splits({"a": [], "b": []}, (0.6, 0.2, 0.2), {"a": 1, "b": 1})
