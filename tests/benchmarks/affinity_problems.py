"""What `affinity_validation.py` trains on: several tasks of one data set, small enough to train every pair of them.

Shapes: N rows, D columns, K tasks.
"""

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from mtl.backbones.backbone import Backbone
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.batch import IGNORE_INDEX, Batch, collate
from mtl.data.sets.digit_scenes import SceneSet
from mtl.features import FeatureSpec
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.head import Head
from mtl.heads.whole.classification import ClassificationHead
from mtl.heads.whole.regression import RegressionHead
from mtl.task import IMAGE, Inputs, InputSpec, Task

Row = dict[str, str]
DIGITS = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class Problem:
    """Tasks on one data set.

    Attributes:
        name: in the table.
        tasks: by name.
        train: all rows to learn from.
        test: all rows to measure on; nothing is chosen by them.
        backbone: makes the shared trunk.
        heads: makes the head of a task out of the trunk's features.
        own_rows: whether a row belongs to one task, so that each draws its own.
        inputs: what the model is fed.
    """

    name: str
    tasks: dict[str, Task]
    train: Batch
    test: Batch
    backbone: Callable[[], Backbone]
    heads: dict[str, Callable[[FeatureSpec], Head]]
    own_rows: bool = False
    inputs: Inputs = field(default_factory=lambda: dict(IMAGE))


def digits(num_train: int = 4000, num_test: int = 500) -> Problem:
    """Seven tasks on small scenes: those of `DigitScenes`, and three more that its boxes and labels give.

    Args:
        num_train: scenes to learn from.
        num_test: scenes to measure on.
    """
    tasks = {
        "boxes": Task("boxes", "detection", class_names=DIGITS),
        "largest": Task("largest", "classification", class_names=DIGITS),
        "count": Task("count", "regression"),
        "parity": Task("parity", "classification", class_names=("even", "odd")),
        "total": Task("total", "regression"),
        "quadrant": Task("quadrant", "classification", num_classes=4),
        "cover": Task("cover", "regression"),
    }
    train, test = (_scenes(split, number, tasks) for split, number in (("train", num_train), ("test", num_test)))
    heads: dict[str, Callable[[FeatureSpec], Head]] = {}
    for name, task in tasks.items():
        if task.kind == "detection":
            heads[name] = partial(CenterNetHead, task)
        else:
            heads[name] = _head(task, train, levels=["p2"], pooling=["mean", "max"], hidden=32)
    return Problem("digits", tasks, train, test, partial(ResidualFPN, 8, 16), heads)


def _scenes(split: str, number: int, tasks: dict[str, Task]) -> Batch:
    side = 32
    options = {"image_size": side, "min_digit_px": 10, "max_digit_px": 16, "max_digits": 3, "noise": 0.05}
    scenes = SceneSet(split, number, 0, list(tasks)[:4], texture=0.3, **options)
    samples = [scenes[index] for index in range(number)]
    for sample in samples:
        boxes, labels = sample["boxes"], sample["box_labels"]
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2)[areas.argmax()] > side / 2
        sample |= {"total": float(labels.sum()), "quadrant": int(x) + 2 * int(y)}
        sample["cover"] = float(areas.sum() / side**2)
    return collate(samples, tasks)


def hospitals(folder: Path) -> Problem:
    """Heart disease or not, in each of four hospitals: the same question for different patients.

    Args:
        folder: of the data set.
    """
    rows = _read(folder / "heart_disease.csv")
    names = ("cleveland", "hungarian", "switzerland", "va")
    tasks = {name: Task(name, "classification", class_names=("healthy", "ill")) for name in names}
    for row in rows:
        row |= {name: row["disease"] if row["site"] == name else "" for name in names}
    columns = ["age", "sex", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "cp"]
    return _table("heart: hospitals", rows, columns, tasks, own_rows=True)


def findings(folder: Path) -> Problem:
    """Seven findings about the same patients, from age, sex, blood values and the hospital.

    Args:
        folder: of the data set.
    """
    rows = _read(folder / "heart_disease.csv")
    for row in rows:
        row |= {"severity": row["num"], "chest_pain": _less_one(row["cp"]), "st_slope": _less_one(row["slope"])}
        row |= {name: str(int(row["site"] == name)) for name in ("cleveland", "hungarian", "va")}
        row["chol"] = "" if row["chol"] == "0" else row["chol"]  # 0 stands for missing
    tasks = {
        "disease": Task("disease", "classification", num_classes=2),
        "severity": Task("severity", "regression"),
        "chest_pain": Task("chest_pain", "classification", num_classes=4),
        "exang": Task("exang", "classification", num_classes=2),
        "thalach": Task("thalach", "regression"),
        "oldpeak": Task("oldpeak", "regression"),
        "st_slope": Task("st_slope", "classification", num_classes=3),
    }
    columns = ["age", "sex", "trestbps", "chol", "fbs", "restecg", "cleveland", "hungarian", "va"]
    return _table("heart: findings", rows, columns, tasks)


def schools(folder: Path, number: int = 8) -> Problem:
    """The exam scores of the largest schools, one task each.

    Args:
        folder: of the data set.
        number: of schools.
    """
    rows = _read(folder / "school.csv.gz")
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["school"]] = sizes.get(row["school"], 0) + 1
    kept = sorted(sizes, key=lambda school: -sizes[school])[:number]
    rows = [row for row in rows if row["school"] in kept]
    tasks = {f"school{school}": Task(f"school{school}", "regression") for school in kept}
    for row in rows:
        row |= {f"school{school}": row["score"] if row["school"] == school else "" for school in kept}
    return _table("schools", rows, [f"x{column}" for column in range(27)], tasks, own_rows=True)


def _table(
    name: str, rows: Sequence[Row], columns: Sequence[str], tasks: dict[str, Task], own_rows: bool = False
) -> Problem:
    values_ND = torch.tensor([[float(row[column] or "nan") for column in columns] for row in rows])
    learn_N = torch.tensor([row["split"] == "train" for row in rows])
    mean_D = values_ND[learn_N].nanmean(0)
    spread_D = (values_ND[learn_N] - mean_D).square().nanmean(0).sqrt()
    # a column that never changes says nothing, and what is missing stands at the mean
    inputs_ND = ((values_ND - mean_D) / torch.where(spread_D > 0, spread_D, 1)).nan_to_num()
    batch: Batch = {"row": inputs_ND}
    for task in tasks.values():
        target_N = torch.tensor([float(row[task.name] or "nan") for row in rows])
        batch[task.labelled_field] = target_N.isfinite()
        whole = task.kind == "classification"
        batch[task.name] = target_N.nan_to_num(IGNORE_INDEX).long() if whole else target_N
    train, test = ({key: value[mask_N] for key, value in batch.items()} for mask_N in (learn_N, ~learn_N))
    heads = {task.name: _head(task, train) for task in tasks.values()}
    inputs = {"row": InputSpec("row", "table", channels=len(columns))}
    return Problem(name, tasks, train, test, partial(TableMLP, inputs, (32, 32)), heads, own_rows, inputs)


def _head(task: Task, train: Batch, **options: object) -> Callable[[FeatureSpec], Head]:
    if task.kind == "classification":
        return partial(ClassificationHead, task, **options)  # type: ignore[arg-type]
    known = train[task.name][train[task.labelled_field]]
    return partial(RegressionHead, task, target_mean=float(known.mean()), target_std=float(known.std()), **options)  # type: ignore[arg-type]


def _read(path: Path) -> list[Row]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _less_one(text: str) -> str:
    return str(int(float(text)) - 1) if text else ""
