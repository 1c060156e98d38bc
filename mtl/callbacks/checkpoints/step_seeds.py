"""`StepSeeds`: the random numbers of a training step are a function of (seed, epoch, batch, rank)."""

import os
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.functional.counter_random import mixed_seed


class StepSeeds(Callback):
    """Seeds torch before every training batch, so that a resumed run draws the dropout of an uninterrupted one.

    Order and augmentation of the samples are such functions already. What torch draws on the device, dropout above all,
    would depend on everything that ran before. Seeding costs some microseconds and no wait for a GPU.

    Args:
        seed: base of all seeds; by default the seed of `seed_everything`, and in a resumed run the first part's.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.seed is None:
            given = os.environ.get("PL_GLOBAL_SEED")
            self.seed = int(given) if given is not None else torch.initial_seed()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        assert self.seed is not None
        seed = mixed_seed(self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        device = trainer.strategy.root_device
        if device.type not in ("cpu", "cuda"):
            torch.manual_seed(seed)
            return
        # that looks for every kind of device there could be, and takes 0.2 ms; this takes a hundredth
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed = state_dict["seed"]
