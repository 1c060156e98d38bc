"""`SentenceAccuracy`: the share of samples of which every task is predicted without an error.

Shapes: B samples.
"""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import SumMetric

from mtl.batch import labelled
from mtl.errors import did_you_mean
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of


class SentenceAccuracy(Callback):
    """Logs `val/sentence_accuracy` and `test/sentence_accuracy`, over the samples that are labelled for all its tasks.

    Args:
        tasks: names of the tasks; all whose kind has right and wrong answers by default.
    """

    def __init__(self, tasks: Sequence[str] | None = None) -> None:
        self.tasks = None if tasks is None else list(tasks)
        self.right, self.count = SumMetric(), SumMetric()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        for name in self.tasks or ():
            if name not in pl_module.tasks:
                raise ValueError(
                    f"SentenceAccuracy names a task {name!r} that has no head; there are {', '.join(pl_module.tasks)}."
                    f"{did_you_mean(name, pl_module.tasks)} Correct `tasks`."
                )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset(pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset(pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._update(pl_module, outputs, batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._update(pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(pl_module, "test")

    def _reset(self, pl_module: LightningModule) -> None:
        for metric in (self.right, self.count):
            metric.to(pl_module.device).reset()

    def _update(self, pl_module: LightningModule, outputs: Any, batch: Any) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        right: Tensor | None = None
        for name in self.tasks or pl_module.tasks:
            task = pl_module.tasks[name]
            correct = target_of(task).correct(outputs[name], batch)
            if correct is None:
                if self.tasks is not None:
                    raise ValueError(f"task {name!r} of kind {task.kind!r} has no right and wrong; leave it out.")
                continue
            known = labelled(batch, task)
            # 1 right, 0 wrong, -1 unknown
            state = torch.where(known, correct.long(), -1)
            right = state if right is None else torch.where((state < 0) | (right < 0), -1, right * state)
        if right is not None:
            self.right.update((right > 0).sum())
            self.count.update((right >= 0).sum())

    def _log(self, pl_module: LightningModule, stage: str) -> None:
        count = self.count.compute()
        if count:
            pl_module.log(f"{stage}/sentence_accuracy", self.right.compute() / count)
