"""What methods are told: losses of the same batch after the step, scores of the epochs that had a validation."""

from functools import partial
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from mtl.balancing.famo import FAMO
from mtl.balancing.task_priority import TaskPriority
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.optim import Optim


class Frozen(Callback):
    """Keeps every batch norm in evaluation mode, as users with few samples do."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        for part in pl_module.modules():
            if isinstance(part, nn.modules.batchnorm._NormBase):
                part.eval()


class Watched(FAMO):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.falls: list[float] = []

    def observe_step(self, losses: Tensor) -> None:
        self.falls.append(float((self.log_before_K - torch.log(losses + 1e-8)).abs().max()))
        super().observe_step(losses)


class Scores(TaskPriority):
    """Keeps the scores of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[list[float] | None] = []

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        self.told.append(None if scores is None else scores.tolist())
        super().observe_epoch(losses, scores)


def test_frozen_norms_stay_frozen_in_the_second_look(tiny: Any) -> None:
    """At a learning rate of 0 the losses after the step are those before it, bit for bit but for the logarithm."""
    for frozen in (True, False):
        method = Watched()
        still = Optim(partial(torch.optim.SGD, lr=0.0), schedule="constant", warmup_steps=0)
        callbacks = [*([Frozen()] if frozen else []), LossBalancing(method)]
        tiny.trainer(callbacks, max_steps=3, limit_val_batches=0).fit(tiny.module(optim=still), tiny.data())
        assert len(method.falls) == 3
        assert max(method.falls) < 1e-6


def test_an_epoch_without_a_validation_has_no_scores(tiny: Any) -> None:
    method = Scores()
    options = {"max_epochs": 4, "max_steps": -1, "check_val_every_n_epoch": 3, "num_sanity_val_steps": 1}
    tiny.trainer([LossBalancing(method)], **options).fit(tiny.module(), tiny.data())
    assert [scores is not None for scores in method.told] == [False, False, True, False]
