"""Splits into training, validation and test pictures: from files with names, or random from a seed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtl.data.folder.files.text_files import read_text

SPLITS = ("train", "val", "test")


def read_splits(folder: Path) -> dict[str, list[str]]:
    """Splits from `train.txt`, `val.txt`, `test.txt`: one picture name per line.

    Args:
        folder: folder of the files; at least `train.txt` must exist.

    Returns:
        Names by split; a split without a file is omitted.

    Raises:
        ValueError: if the folder or `train.txt` is missing.
    """
    if not (folder / "train.txt").is_file():
        raise ValueError(
            f"no file 'train.txt' in the folder of `splits` {str(folder)!r}. Write train.txt, val.txt and test.txt "
            "there (one picture name per line), or use a random split: `fractions: [0.7, 0.15, 0.15]`."
        )
    splits = {}
    for split in SPLITS:
        file = folder / f"{split}.txt"
        if file.is_file():
            splits[split] = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    return splits


def draw_splits(names: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, list[str]]:
    """Random splits, equal on every machine.

    Args:
        names: names of all pictures, in any order.
        fractions: shares of train, val and, optionally, test; their sum is at most 1.
        seed: random seed.

    Raises:
        ValueError: if the shares are not two or three numbers above 0 with sum at most 1, or leave a split empty.
    """
    check_fractions(fractions)
    order = np.random.default_rng(seed).permutation(len(names))
    ordered = sorted(names)
    ends = [round(share * len(names)) for share in np.cumsum([0.0, *fractions])]
    splits = {
        split: sorted(ordered[i] for i in order[start:end])
        for split, start, end in zip(SPLITS, ends[:-1], ends[1:], strict=False)
    }
    for split, chosen in splits.items():
        if not chosen:
            raise ValueError(f"fractions={list(fractions)} of {len(names)} pictures leave split {split!r} empty.")
    return splits


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse shares that are no split.

    Args:
        fractions: shares of train, val and, optionally, test.

    Raises:
        ValueError: if they are not two or three numbers above 0 with sum at most 1.
    """
    if not 2 <= len(fractions) <= 3 or min(fractions) <= 0 or sum(fractions) > 1 + 1e-9:
        raise ValueError(f"fractions={list(fractions)} must be 2 or 3 shares above 0 (train, val, test) with sum <= 1.")
