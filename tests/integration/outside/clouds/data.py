"""`Clouds`: clouds of points along a line from the origin; where they point, and whether they are long."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.module import JointDataModule
from mtl.task import Inputs, InputSpec, Task

TASKS = {"heading": Task("heading", "direction"), "length": Task("length", "classification", 2, ("short", "long"))}
INPUTS = {"cloud": InputSpec("cloud", "points", channels=2)}


class Clouds(JointDataModule):
    """Random clouds.

    Args:
        number: training samples; validation and test have half as many.
        **kwargs: arguments of `JointDataModule`.
    """

    inputs: Inputs = INPUTS

    def __init__(self, number: int = 256, **kwargs: Any) -> None:
        super().__init__(self.declare_tasks(), **kwargs)
        self.number = number

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return dict(TASKS)

    @classmethod
    def declare_inputs(cls, **_: Any) -> Inputs:
        return INPUTS

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        return {"number": 8}

    def setup(self, stage: str) -> None:
        self.train_set = CloudSet(self.number, self.seed, 0)
        self.val_set = CloudSet(self.number // 2, self.seed, 1)
        self.test_set = CloudSet(self.number // 2, self.seed, 2)


class CloudSet(Dataset[Sample]):
    """Clouds by index; every fourth has no heading.

    Args:
        number: how many.
        seed: random seed.
        split: number of the split.
    """

    def __init__(self, number: int, seed: int, split: int) -> None:
        self.number, self.seed, self.split = number, seed, split

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, self.split, index])
        angle, long = rng.uniform(0, 2 * math.pi), int(rng.integers(2))
        direction = np.array([math.cos(angle), math.sin(angle)])
        steps = rng.uniform(0, 2 if long else 1, size=(int(rng.integers(4, 12)), 1))
        cloud = torch.from_numpy(steps * direction + rng.normal(0, 0.05, size=(len(steps), 2))).float()
        heading = {"heading": torch.from_numpy(direction).float()} if index % 4 else {}
        return {"cloud": cloud, "length": long, **heading}
