"""Write and count what the folders of data sets share: splits, CSV labels, names of boxes in VOC files."""

import csv
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_splits(folder: Path, splits: Mapping[str, Sequence[str]]) -> None:
    """Write `splits/<split>.txt`, one name per line.

    Args:
        folder: folder of the data set.
        splits: names by split.
    """
    (folder / "splits").mkdir()
    for split, names in splits.items():
        (folder / f"splits/{split}.txt").write_text("".join(f"{name}\n" for name in names), "utf-8")


def write_rows(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a CSV with a header.

    Args:
        file: the file.
        rows: at least one row, all with the same columns.
    """
    with file.open("w", encoding="utf-8", newline="") as output:
        writer = csv.DictWriter(output, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def split_of(splits: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The split of each name.

    Args:
        splits: names by split.
    """
    return {name: split for split, names in splits.items() for name in names}


def boxes_in(file: Path) -> Counter[str]:
    """How many boxes of each class a VOC file has.

    Args:
        file: the XML file; its digest was checked before.
    """
    return Counter(node.findtext("name", "").strip() for node in ElementTree.parse(file).iter("object"))


def count_voc_set(folder: Path) -> dict[str, int]:
    """Numbers of pictures, boxes and names in the splits of a VOC folder.

    Args:
        folder: folder with images, annotations and splits.
    """
    counts = {"pictures": sum(1 for _ in (folder / "images").iterdir())}
    counts["boxes"] = sum(boxes_in(file).total() for file in (folder / "annotations").iterdir())
    return counts | count_splits(folder)


def count_splits(folder: Path) -> dict[str, int]:
    """Numbers of names by split.

    Args:
        folder: folder with splits.
    """
    return {file.stem: len(file.read_text("utf-8").split()) for file in sorted((folder / "splits").iterdir())}
