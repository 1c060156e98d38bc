"""`ArrayData`: the base of benchmarks that come as NumPy files with folders `train` and `val`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Subset

from mtl.data.arrays.array_files import ArrayField, ArrayFiles
from mtl.data.module import JointDataModule
from mtl.task import Task


class ArrayData(JointDataModule):
    """Training samples from `train`, test samples from `val`, which also validates unless some are held out.

    Args:
        root: folder with `train` and `val`.
        tasks: the tasks.
        fields: where each task's values lie.
        num_val: training samples that are held out for validation, drawn by `split_seed`. Published protocols hold
            out none, and choose by test results: 0.
        split_seed: seed of that draw.
        check: compare the number and size of pictures with the benchmark's.
        **kwargs: arguments of `JointDataModule`.
    """

    counts: ClassVar[Mapping[str, int]]  # pictures of `train` and `val`
    sizes: ClassVar[tuple[tuple[int, int], ...]]  # height and width, one of these

    def __init__(
        self,
        root: str,
        tasks: dict[str, Task],
        fields: Mapping[str, ArrayField],
        num_val: int = 0,
        split_seed: int = 0,
        check: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks, **kwargs)
        if num_val < 0:
            raise ValueError(f"num_val={num_val} must be at least 0.")
        self.root = Path(root)
        self.fields = dict(fields)
        self.num_val, self.split_seed, self.check = num_val, split_seed, check

    def setup(self, stage: str) -> None:
        if hasattr(self, "train_set"):
            return
        if not self.root.is_dir():
            raise ValueError(f"data folder {str(self.root)!r} does not exist. Set data.init_args.root.")
        train, test = (self._files(split) for split in ("train", "val"))
        if self.num_val >= len(train):
            raise ValueError(f"num_val={self.num_val} must be below the {len(train)} training samples.")
        order = np.random.default_rng(self.split_seed).permutation(len(train)).tolist()
        held_out = sorted(order[: self.num_val])
        self.train_set = Subset(train, sorted(order[self.num_val :])) if held_out else train
        self.val_set = Subset(train, held_out) if held_out else test
        self.test_set = test

    def _files(self, split: str) -> ArrayFiles:
        files = ArrayFiles(self.root / split, self.fields, self.tasks)
        if self.check:
            size = tuple(files[0]["image"].shape[-2:])
            if len(files) != self.counts[split] or size not in self.sizes:
                sizes = " or ".join(f"{height} x {width}" for height, width in self.sizes)
                raise ValueError(
                    f"{str(files.root)!r} has {len(files)} pictures of {size[0]} x {size[1]}; the benchmark has "
                    f"{self.counts[split]} of {sizes}, so results would not compare. Copy it again, or set "
                    "`check: false` for other data in this layout."
                )
        return files
