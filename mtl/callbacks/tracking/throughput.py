"""`Throughput`: samples per second of all processes, and the share of the time that was spent waiting for data."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.callbacks.logging_steps import is_logging_step


class Throughput(Callback):
    """Logs `throughput/samples_per_s` and `throughput/data_wait` (0 to 1) of the steps since the last logging step.

    Validation is not counted. On a GPU the host runs ahead, so only the first of the two is exact.
    """

    def __init__(self) -> None:
        self._samples = 0
        self._waited_s = self._worked_s = 0.0
        self._ready = self._started = 0.0
        self._logged_step = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._ready = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._ready = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._started = time.perf_counter()
        self._waited_s += self._started - self._ready

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._ready = time.perf_counter()
        self._worked_s += self._ready - self._started
        self._samples += num_samples(batch)
        # with accumulation the step stays the same for several batches
        if is_logging_step(trainer, done=True) and trainer.global_step != self._logged_step:
            total_s = self._waited_s + self._worked_s
            pl_module.log_dict(
                {
                    "throughput/samples_per_s": self._samples * trainer.world_size / total_s,
                    "throughput/data_wait": self._waited_s / total_s,
                }
            )
            self._samples, self._waited_s, self._worked_s = 0, 0.0, 0.0
            self._logged_step = trainer.global_step


def num_samples(batch: Any) -> int:
    """Samples of a batch: the length of its first tensor.

    Args:
        batch: a flat dict of tensors; anything else counts as 0.
    """
    values = batch.values() if isinstance(batch, dict) else ()
    return next((len(value) for value in values if isinstance(value, Tensor) and value.ndim), 0)
