"""`CelebA`: faces with 40 attributes, as 40 tasks of two classes or as one multi-label task.

Source: Liu, Luo, Wang, Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015.
Shapes: N pictures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtl.data.image_size import checked_size
from mtl.data.labelled_pictures import LabelledPictures
from mtl.data.module import JointDataModule
from mtl.data.sets.benchmarks.count_check import check_count
from mtl.errors import did_you_mean
from mtl.task import Task

_NAMES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones
Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline
Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick
Wearing_Necklace Wearing_Necktie Young
"""
ATTRIBUTES = _NAMES.split()  # in the order of the file
_SPLITS = ("train", "val", "test")  # 0, 1, 2 in the file of partitions
_COUNTS = (162_770, 19_867, 19_962)  # pictures 1 to 162770, to 182637 and to 202599


class CelebA(JointDataModule):
    """162,770 training, 19,867 validation and 19,962 test pictures.

    Args:
        root: folder with `img_align_celeba/*.jpg`, `list_attr_celeba.txt` and `list_eval_partition.txt`.
        attributes: which of the 40; all by default.
        form: `tasks` (a classification task for each attribute, named as it is, `_5_o_Clock_Shadow` with `_` before a
            digit) or `multilabel` (one task, `attributes`).
        image_size: height and width of the network's input; published protocols use 64 x 64.
        check: compare the number of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`.
    """

    def __init__(
        self,
        root: str,
        attributes: list[str] | None = None,
        form: Literal["tasks", "multilabel"] = "tasks",
        image_size: tuple[int, int] = (64, 64),
        check: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(self.declare_tasks(attributes=attributes, form=form), **kwargs)
        self.root, self.check, self.form = Path(root), check, form
        self.attributes = list(attributes or ATTRIBUTES)
        self.image_size = checked_size(image_size)

    @classmethod
    def declare_tasks(
        cls, *, attributes: Sequence[str] | None = None, form: str = "tasks", **_: Any
    ) -> dict[str, Task]:
        for name in attributes or ():
            if name not in ATTRIBUTES:
                raise ValueError(f"CelebA has no attribute {name!r}.{did_you_mean(name, ATTRIBUTES)}")
        names = list(attributes or ATTRIBUTES)
        if form == "multilabel":
            return {"attributes": Task("attributes", "multilabel", class_names=tuple(names))}
        return {task_name(name): Task(task_name(name), "classification", class_names=("no", "yes")) for name in names}

    def setup(self, stage: str) -> None:
        if hasattr(self, "train_set"):
            return
        files, values = read_attributes(self.root / "list_attr_celeba.txt")
        parts = read_partition(self.root / "list_eval_partition.txt", files)
        columns = [ATTRIBUTES.index(name) for name in self.attributes]
        for number, split in enumerate(_SPLITS):
            rows = np.flatnonzero(parts == number)
            if self.check:
                check_count(f"split {split!r} of {str(self.root)!r} has", len(rows), _COUNTS[number])
            chosen = values[rows][:, columns]
            targets: dict[str, NDArray[Any]] = {"attributes": chosen.astype(np.float32)}
            if self.form == "tasks":
                targets = {task_name(n): chosen[:, i].astype(np.int64) for i, n in enumerate(self.attributes)}
            paths = [self.root / "img_align_celeba" / files[row] for row in rows]
            setattr(self, f"{split}_set", LabelledPictures(paths, targets, self.image_size))


def task_name(attribute: str) -> str:
    """The name of the task of an attribute.

    Args:
        attribute: as in the file.
    """
    return attribute if attribute.isidentifier() else f"_{attribute}"


def read_attributes(path: Path) -> tuple[list[str], NDArray[np.int8]]:
    """Names of the pictures, and 0 or 1 for each of the 40 attributes, [N,40].

    Args:
        path: the file: a count, the names of the attributes, then a line of -1 and 1 for each picture.

    Raises:
        ValueError: if it is missing or damaged.
    """
    lines = _lines(path)
    if len(lines) < 2 or lines[1].split() != ATTRIBUTES:
        raise ValueError(f"line 2 of {str(path)!r} does not name the 40 attributes of CelebA. Copy it again.")
    rows = [line.split() for line in lines[2:]]
    for number, row in enumerate(rows, start=3):
        if len(row) != 1 + len(ATTRIBUTES):
            raise ValueError(f"line {number} of {str(path)!r} has {len(row)} words; expected a name and 40 numbers.")
    values = np.array([row[1:] for row in rows], np.int8).reshape(-1, len(ATTRIBUTES))
    return [row[0] for row in rows], (values > 0).astype(np.int8)


def read_partition(path: Path, files: Sequence[str]) -> NDArray[np.int64]:
    """The split of every picture: 0, 1 or 2, [N].

    Args:
        path: the file: a name and a number in every line.
        files: names of the pictures.

    Raises:
        ValueError: if it is missing, or lacks a picture.
    """
    part_of = dict(line.split()[:2] for line in _lines(path))
    if lost := [name for name in files if name not in part_of]:
        raise ValueError(f"{str(path)!r} lacks {len(lost)} pictures, for example {lost[0]!r}. Copy it again.")
    return np.array([int(part_of[name]) for name in files], np.int64)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}. Set `root` to the folder of CelebA.")
    return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
