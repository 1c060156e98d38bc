"""The splits that a folder of pictures defines, in whatever way."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtl.data.folder.image_labels import tables_of
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.picture_names import match_names
from mtl.data.folder.splits import read_splits
from mtl.data.formats.format import splits_by_folder
from mtl.data.formats.recognise import Recognised
from mtl.data.formats.table_splits import splits_by_table, splits_of_table

_SPLIT_FOLDERS = ("splits", "ImageSets/Main", "ImageSets", ".")


def given_splits(found: Recognised, data: FolderDataModule, pictures: Mapping[str, Path]) -> dict[str, list[str]]:
    """The splits that the folder defines: by files, a column, the annotations, or folders; some may be missing.

    Args:
        found: what the folder holds.
        data: its data module, which reads splits of files from then on.
        pictures: all pictures by name.
    """
    names = list(pictures)
    of_masks = () if "boxes" in found.tasks else ("ImageSets/Segmentation",)
    if splits := _listed_splits(data, (*of_masks, *_SPLIT_FOLDERS), names):
        return splits
    if splits := _splits_below(found.root, pictures):
        return splits
    try:
        if splits := known_splits(data.read_splits(names), names):
            return splits
    except ValueError:
        pass  # it needs files of splits, and there are none
    lists = {*found.root.glob("*/train.txt"), *found.root.glob("*/*/train.txt")}  # `meta/train.txt`
    if splits := _listed_splits(data, sorted(file.parent.relative_to(found.root).as_posix() for file in lists), names):
        return splits
    if "labels_csv" in found.init_args:
        tables, key = tables_and_key(found)
        by_column = {} if found.split_column is None else splits_of_table(tables, key, found.split_column)
        if splits := known_splits(by_column, names) or known_splits(splits_by_table(tables, key), names):
            return splits
    return splits_by_folder(names)


def _listed_splits(data: FolderDataModule, folders: Sequence[str], names: list[str]) -> dict[str, list[str]]:
    """The splits of the first folder whose lists name pictures; the data module reads them from then on."""
    for folder in folders:
        place = data.root / folder
        if (place / "train.txt").is_file() and (found := known_splits(read_splits(place), names)):
            data.splits = folder
            return found
    return {}


def _splits_below(root: Path, pictures: Mapping[str, Path]) -> dict[str, list[str]]:
    """The splits of every folder like `VOCdevkit/VOC2007`, joined."""
    joined: dict[str, list[str]] = {}
    for folder in sorted({*root.glob("*/ImageSets/Main"), *root.glob("*/*/ImageSets/Main")}):
        if (folder / "train.txt").is_file():
            inside = [name for name, path in pictures.items() if path.is_relative_to(folder.parent.parent)]
            for split, names in known_splits(read_splits(folder), inside).items():
                joined.setdefault(split, []).extend(names)
    return joined


def known_splits(splits: Mapping[str, list[str]], names: list[str]) -> dict[str, list[str]]:
    """The splits with the names of pictures; empty if most of what is written is no picture.

    Args:
        splits: names as they are written.
        names: all pictures.
    """
    known: dict[str, list[str]] = {}
    for split, wanted in splits.items():
        matches = match_names(wanted, names)
        if len(matches) < len(wanted) / 2:
            return {}
        known[split] = sorted({match.name for match in matches.values()})
    return known if known.get("train") else {}


def tables_and_key(found: Recognised) -> tuple[list[Path], str]:
    """The tables of labels, and their column of names.

    Args:
        found: what the folder holds.
    """
    tables = tables_of(found.root, found.init_args["labels_csv"])
    return tables, found.init_args.get("labels_key", "image")
