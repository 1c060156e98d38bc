"""`JointDataModule`: the one interface between a data set and the loop.

A subclass sets up `train_set`, `val_set`, `test_set` (map-style, giving samples as `mtl.batch` describes) and says its
tasks. Loaders, padding and shuffling are here.
"""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from mtl.batch import Batch, Sample, collate
from mtl.task import Task


class JointDataModule(LightningDataModule, ABC):
    """Batches with the targets of several tasks.

    Args:
        tasks: every task the samples carry, by name.
        batch_size: samples per training step and process.
        eval_batch_size: samples per validation and test step; twice `batch_size` by default.
        num_workers: loader processes; 0 loads in the main process.
        seed: seed of shuffling, splits and augmentation.
    """

    train_set: Dataset[Sample]
    val_set: Dataset[Sample]
    test_set: Dataset[Sample]

    def __init__(
        self,
        tasks: dict[str, Task],
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise ValueError(f"batch_size={batch_size} must be at least 1 and num_workers={num_workers} at least 0.")
        self.tasks = tasks
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or 2 * batch_size
        self.num_workers = num_workers
        self.seed = seed

    @classmethod
    @abstractmethod
    def declare_tasks(cls, **init_args: Any) -> dict[str, Task]:
        """The tasks that these constructor arguments give, without touching the disk; the CLI hands them to the model.

        Args:
            init_args: arguments of the constructor; a subclass names the ones it needs and takes the rest as `**_`.
        """

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_set, self.batch_size, training=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.val_set, self.eval_batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.test_set, self.eval_batch_size)

    def _loader(self, dataset: Dataset[Sample], batch_size: int, training: bool = False) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size,
            shuffle=training,
            drop_last=training and len(dataset) > batch_size,  # type: ignore[arg-type]
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=partial(collate, tasks=self.tasks),
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(self.seed) if training else None,
        )
