"""Faults to put into a real run from its config: each strikes once, at one step of one rank."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

YEAR_S = 365 * 24 * 3600.0


class Fault(Callback):
    """Strikes at the start of a training step, not again in a run that goes on.

    Args:
        step: the optimiser step.
        rank: the rank that is struck.
    """

    def __init__(self, step: int = 7, rank: int = 0) -> None:
        self.step = step
        self.rank = rank

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        mark = Path(str(trainer.default_root_dir)) / f"struck-{type(self).__name__}"
        if trainer.global_step == self.step and trainer.global_rank == self.rank and not mark.exists():
            mark.touch()
            self.strike(trainer, pl_module)

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        """What goes wrong."""
        raise NotImplementedError


class Die(Fault):
    """The process is killed, as by the system when memory is short."""

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class KillProcess(Fault):
    """Another process is killed, such as a server that the run talks to.

    Args:
        pid: which one.
        step: the optimiser step.
        rank: the rank that does it.
    """

    def __init__(self, pid: int, step: int = 7, rank: int = 0) -> None:
        super().__init__(step, rank)
        self.pid = pid

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        os.kill(self.pid, signal.SIGKILL)


class Preempt(Fault):
    """The signal by which SLURM says that the machine is wanted for something else."""

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)


class StopValidation(Callback):
    """SIGTERM in the middle of a validation.

    Args:
        step: optimiser steps done.
        rank: the rank that gets it.
    """

    def __init__(self, step: int = 12, rank: int = 0) -> None:
        self.step = step
        self.rank = rank

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        mark = Path(str(trainer.default_root_dir)) / "struck-validation"
        if trainer.global_step == self.step and trainer.global_rank == self.rank and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGTERM)


class Hang(Fault):
    """The process does nothing any more."""

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        time.sleep(10_000)


class Slow(Callback):
    """Every step takes a while."""

    def on_train_batch_start(self, *_: Any) -> None:
        time.sleep(0.5)


class KillWorker(Fault):
    """A process of the loader is killed."""

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        time.sleep(0.2)


class JumpClock(Fault):
    """The wall clock goes back by a year, as after a wrong synchronisation."""

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        now = time.time
        time.time = lambda: now() - YEAR_S


class CutPicture(Fault):
    """Pictures of the data set are cut off while the run reads them.

    Args:
        folder: where they are.
        step: the optimiser step.
        rank: the rank that does it.
    """

    def __init__(self, folder: str, step: int = 7, rank: int = 0) -> None:
        super().__init__(step, rank)
        self.folder = folder

    def strike(self, trainer: Trainer, module: LightningModule) -> None:
        for picture in Path(self.folder).glob("*.png"):
            picture.write_bytes(picture.read_bytes()[:200])


class NotANumber(Callback):
    """The loss of one task is NaN, and so are its gradients, at one step.

    Args:
        task: name of the task.
        step: the optimiser step.
    """

    def __init__(self, task: str = "boxes", step: int = 7) -> None:
        self.task = task
        self.step = step

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: Any = pl_module.model
        losses = model.losses

        def spoilt(outputs: Any, batch: Any) -> dict[str, Tensor]:
            found: dict[str, Tensor] = losses(outputs, batch)
            if pl_module.training and trainer.global_step == self.step:
                found[self.task] = found[self.task] * torch.nan
            return found

        model.losses = spoilt


class BrokenLogger(Logger):
    """A logger whose server is gone."""

    @property
    def name(self) -> str:
        return "broken"

    @property
    def version(self) -> str:
        return "0"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        raise ConnectionError("the server is gone")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        raise ConnectionError("the server is gone")
