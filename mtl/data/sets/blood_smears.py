"""`BloodSmears`: the picture of a blood smear and a row of a laboratory's table, both made up; nothing is downloaded.

Nothing here is medical knowledge: patients, numbers and pictures come from a few formulas.
Shapes: N patients.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.data.augment.augment import Augment
from mtl.data.module import JointDataModule
from mtl.data.smears.drawing import CELLS, draw_smear
from mtl.data.smears.patients import COLUMNS, DIAGNOSES, random_patients, rows_of
from mtl.errors import check_least
from mtl.task import Inputs, InputSpec, Task

Modality = Literal["image", "row"]
TASKS = {
    "diagnosis": Task("diagnosis", "classification", class_names=DIAGNOSES),
    "anaemia": Task("anaemia", "classification", class_names=("no", "yes")),
    "cells": Task("cells", "detection", class_names=CELLS),
}
MISSING = {"haemoglobin": 0.15, "age": 0.1, "stain": 0.1, "um_per_px": 0.05}
_SPLITS = ("train", "val", "test")


class BloodSmears(JointDataModule):
    """Tasks: `diagnosis` (needs both inputs), `anaemia` (the row says most), `cells` (boxes; the picture has them).

    The size of red cells tells deficiencies apart. The picture has it in pixels, and the row says how wide a pixel is,
    and whether there is little haemoglobin; parasites are in the picture alone. Cells of the row are missing at random.

    Args:
        modalities: the inputs, `image`, `row` or both; the same patients with fewer inputs are the baseline.
        num_train: number of training patients.
        num_val: number of validation patients.
        num_test: number of test patients.
        image_size: width and height of a picture in pixels.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        missing: share of the cells of a column that are empty; haemoglobin .15, age .1, stain .1, um_per_px .05 by
            default.
        present: share of the training patients that have an input, by its name; all of them by default. Where there is
            no picture, nobody knows the cells.
        batch_size: patients per training step and process.
        eval_batch_size: patients per validation and test step.
        num_workers: loader processes; the samples are in memory, so 0 is best.
        seed: seed of patients, pictures, missing cells and of their order.
        augment: augmentation of training pictures; none by default. Zoom would change the width of a pixel.

    Raises:
        ValueError: for a number that is too small, a column that does not exist, or a share outside its range.
    """

    def __init__(
        self,
        modalities: Sequence[Modality] = ("image", "row"),
        num_train: int = 3000,
        num_val: int = 300,
        num_test: int = 600,
        image_size: int = 64,
        noise: float = 0.04,
        missing: dict[str, float] | None = None,
        present: dict[Modality, float] | None = None,
        batch_size: int = 32,
        eval_batch_size: int | None = 100,
        num_workers: int = 0,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        self.inputs = self.declare_inputs(modalities, present)
        super().__init__(self.declare_tasks(modalities), batch_size, eval_batch_size, num_workers, seed, augment)
        check_least(1, num_train=num_train, num_val=num_val, num_test=num_test)
        check_least(32, image_size=image_size)
        check_least(0, noise=noise)
        self.counts = dict(zip(_SPLITS, (num_train, num_val, num_test), strict=True))
        self.image_size, self.noise = image_size, noise
        self.missing = MISSING if missing is None else dict(missing)
        for column, share in self.missing.items():
            if column not in COLUMNS.used or not 0 <= share < 1:
                raise ValueError(
                    f"missing has {column}: {share}; expected a share from 0 to below 1 of a column: "
                    f"{', '.join(COLUMNS.used)}."
                )
        self.present = dict(present or {})
        for name, share in self.present.items():
            if name not in self.inputs or not 0 < share <= 1:
                raise ValueError(
                    f"present has {name}: {share}; expected a share above 0 and at most 1 of {', '.join(self.inputs)}."
                )

    @classmethod
    def declare_tasks(cls, modalities: Sequence[Modality] = ("image", "row"), **_: Any) -> dict[str, Task]:
        return {name: task for name, task in TASKS.items() if task.kind != "detection" or "image" in modalities}

    @classmethod
    def declare_inputs(
        cls, modalities: Sequence[Modality] = ("image", "row"), present: dict[Modality, float] | None = None, **_: Any
    ) -> Inputs:
        known = {
            "image": InputSpec("image", "image", channels=3, optional="image" in (present or {})),
            "row": InputSpec("row", "table", names=COLUMNS.names, optional="row" in (present or {})),
        }
        if not modalities or set(modalities) - set(known):
            raise ValueError(f"modalities={list(modalities)} must be among {', '.join(known)}, at least one.")
        return {name: spec for name, spec in known.items() if name in modalities}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        return {"num_train": 8, "num_val": 3, "num_test": 3, "image_size": 32}

    def setup(self, stage: str) -> None:
        # once: `fit` followed by `test` calls `setup` twice
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                rng = np.random.default_rng([self.seed, _SPLITS.index(split)])
                made = SmearSet(self.counts[split], self.image_size, self.noise, self.missing, rng)
                made.keep(self.inputs, self.present if split == "train" else {}, rng)
                setattr(self, f"{split}_set", made)


class SmearSet(Dataset[Sample]):
    """The patients of one split, made at once and kept in memory.

    Args:
        number: number of patients.
        image_size: width and height of a picture in pixels.
        noise: standard deviation of the pixel noise.
        missing: share of empty cells, by column.
        rng: random numbers.
    """

    def __init__(
        self, number: int, image_size: int, noise: float, missing: Mapping[str, float], rng: np.random.Generator
    ) -> None:
        self.patients = random_patients(number, rng)
        self.rows = rows_of(self.patients, missing, rng)
        self.values = torch.from_numpy(COLUMNS.encode(self.rows)[0])
        self.smears = [draw_smear(self.patients, index, image_size, noise, rng) for index in range(number)]
        self.kept = [{"image", "row"} for _ in range(number)]

    def keep(self, inputs: Inputs, shares: Mapping[Any, float], rng: np.random.Generator) -> None:
        """Choose what each patient has; nobody has nothing.

        Args:
            inputs: what the data module declares.
            shares: share of the patients that have an input, by its name; 1 where it is not named.
            rng: random numbers.
        """
        for index, drawn in enumerate(rng.random((len(self), 2)).tolist()):
            by_name = dict(zip(("image", "row"), drawn, strict=True))
            some = {name for name in inputs if by_name[name] < shares.get(name, 1.0)}
            self.kept[index] = some or {max(inputs, key=lambda name: shares.get(name, 1.0))}

    def __len__(self) -> int:
        return len(self.smears)

    def __getitem__(self, index: int) -> Sample:
        smear, kept = self.smears[index], self.kept[index]
        size = smear.image.shape[-1]
        sample: Sample = {
            "diagnosis": int(self.patients.diagnosis[index]),
            "anaemia": int(self.patients.anaemic[index]),
            "image_id": index,
            "orig_size": torch.tensor([size, size]),
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        }
        if "row" in kept:
            sample["row"] = self.values[index]
        if "image" in kept:
            sample["image"] = tv_tensors.Image(torch.from_numpy(smear.image))
            boxes_C4 = torch.from_numpy(smear.boxes)
            sample["cells"] = tv_tensors.BoundingBoxes(boxes_C4, format="XYXY", canvas_size=(size, size))
            sample[TASKS["cells"].labels_field] = torch.from_numpy(smear.labels)
        return sample
