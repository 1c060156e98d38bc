"""The splits that a folder of pictures does not define: classes have their shares, and groups stay together."""

from collections.abc import Hashable

import numpy as np

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.image_labels import read_tables
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.stratify import stratified_splits
from mtl.data.formats.recognise import Recognised
from mtl.evaluation.data.given_splits import known_splits, tables_and_key
from mtl.evaluation.data.picture_groups import picture_groups


def splits_to_write(found: Recognised, data: FolderDataModule, given: dict[str, list[str]]) -> dict[str, list[str]]:
    """Files to write for splits that the data module does not read itself; none for `splits/*.txt` and its own.

    Args:
        found: what the folder holds; `splits` is set in it where lists of its own are read.
        data: its data module.
        given: all three splits.
    """
    if data.splits == "splits" and (found.root / "splits" / "train.txt").is_file():
        return {}
    if data.splits != "splits":
        found.init_args["splits"] = data.splits
        return {}
    try:
        names = [name for split in given.values() for name in split]
        own = known_splits(data.read_splits(names), names)
    except ValueError:
        own = {}
    return {} if own == given else dict(given)


def drawn_splits(
    found: Recognised,
    records: list[AnnotatedImage],
    given: dict[str, list[str]],
    fractions: tuple[float, float, float],
    group: str | None,
    seed: int,
    notes: list[str],
) -> dict[str, list[str]]:
    """All three splits: what is given stays as it is, the rest is drawn from the pictures left.

    Args:
        found: what the folder holds.
        records: all pictures.
        given: the splits that the folder defines.
        fractions: shares of train, val and test.
        group: regular expression for names that stay together.
        seed: of the draw.
        notes: what the user should know; some are added.
    """
    rows = _group_cells(found)
    groups = picture_groups(records, group, rows, notes)
    labels = {record.name: _labels(record) for record in records}
    if not given:
        notes.append("splits are drawn: every class has its share in each, near copies stay together.")
        return stratified_splits(labels, fractions, groups, seed)
    if "val" in given:
        notes.append("there are no test pictures: val is tested as well, so test numbers are too good.")
        return {**given, "test": list(given["val"])}
    share = fractions[1] / (fractions[0] + fractions[1])
    inside = {name: labels[name] for name in given["train"] if name in labels}
    drawn = stratified_splits(inside, (1 - share, share), groups, seed)
    if "test" in given:
        notes.append("val is drawn from the training pictures; test stays as it is.")
        return {**drawn, "test": given["test"]}
    notes.append("val and test are drawn from the training pictures.")
    return stratified_splits(inside, fractions, groups, seed)


def _group_cells(found: Recognised) -> dict[str, str]:
    if found.group_column is None:
        return {}
    rows = read_tables(*tables_and_key(found), [found.group_column])
    return {name: row.get(found.group_column, "").strip() for name, row in rows.items()}


def _labels(record: AnnotatedImage) -> list[Hashable]:
    own: list[Hashable] = [("boxes", name) for name in set(record.classes)]
    for task, value in record.labels.items():
        if isinstance(value, int | np.integer):
            own.append((task, int(value)))
        elif not isinstance(value, float):
            own += [(task, index) for index, there in enumerate(value) if there == 1]
    return own
