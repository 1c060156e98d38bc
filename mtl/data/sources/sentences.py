"""Sentences with an intent and slots, in the layout of github.com/MiuLab/SlotGated-SLU."""

from pathlib import Path

from mtl.data.sources.source import Files

SPLITS = ("train", "valid", "test")
_FILES = ("label", "seq.in", "seq.out")
_COMMIT = ("MiuLab/SlotGated-SLU", "61f0307c729b1fad479ef1de94aa5ac5dee601b0")


def sentence_files(name: str, digests: tuple[str, ...]) -> tuple[Files, ...]:
    """`label`, `seq.in` and `seq.out` of each split.

    Args:
        name: folder of the set in the repository.
        digests: SHA-256 of the nine files, split by split.
    """
    paths = [f"{split}/{file}" for split in SPLITS for file in _FILES]
    return tuple(
        Files(*_COMMIT, f"data/{name}/{path}", path, value) for path, value in zip(paths, digests, strict=True)
    )


def move_sentences(raw: Path, to: Path) -> None:
    """Move the files as they are; configs read this layout.

    Args:
        raw: the files of the source.
        to: folder of the data set.
    """
    for split in SPLITS:
        (raw / split).rename(to / split)


def count_sentences(folder: Path) -> dict[str, int]:
    """Number of sentences by split; -1 if its files have different numbers of lines.

    Args:
        folder: folder of the data set.
    """
    counts = {}
    for split in SPLITS:
        lines = {(folder / split / file).read_bytes().count(b"\n") for file in _FILES}
        counts[split] = lines.pop() if len(lines) == 1 else -1
    return counts
