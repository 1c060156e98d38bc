"""A tiny joint run on digit scenes that the tests of the callbacks look at, trained once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.callbacks.defaults import default_callbacks
from mtl.callbacks.tracking.loggers import Tracking, make_loggers
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule


@dataclass(frozen=True)
class FinishedRun:
    """A run that was trained and tested with every default callback."""

    folder: Path
    trainer: Trainer
    module: MultiTaskLightningModule
    screen: str


@dataclass(frozen=True)
class Tiny:
    """Makers of small parts."""

    data: Callable[[], DigitScenes]
    module: Callable[..., MultiTaskLightningModule]
    trainer: Callable[..., Trainer]


def tiny_data() -> DigitScenes:
    return DigitScenes(
        num_train=48, num_val=16, num_test=16, image_size=32, max_digit_px=16, max_digits=2, batch_size=8
    )


def tiny_module(levels: Sequence[str] = ("c4", "p2"), **options: Any) -> MultiTaskLightningModule:
    heads = {"boxes": CenterNetHead, "largest": partial(ClassificationHead, levels=list(levels))}
    return MultiTaskLightningModule(tiny_data().tasks, ResidualFPN(width=4, pyramid_width=8), heads, **options)


def tiny_trainer(callbacks: list[Callback] | None = None, **options: Any) -> Trainer:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": -1,
        "max_steps": 4,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
    }
    return Trainer(callbacks=callbacks or [], **settings | options)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny(tiny_data, tiny_module, tiny_trainer)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Six steps, two validations, then a test of the best checkpoint."""
    from rich import get_console

    folder = tmp_path_factory.mktemp("runs") / "tiny" / "first"
    config = {"model": {"optim": {"lr": 0.001}}, "trainer": {"max_steps": 6}}
    loggers = make_loggers(
        folder, "tiny", "first", config, Tracking(wandb="offline", tags=["a tag"], log_checkpoint=True)
    )
    best = ModelCheckpoint(folder / "checkpoints", filename="best", monitor="val/score", mode="max", save_last=True)
    trainer = tiny_trainer(
        [*default_callbacks(folder), best],
        logger=loggers,
        max_steps=6,
        val_check_interval=3,
        check_val_every_n_epoch=None,
        enable_checkpointing=True,
        enable_progress_bar=True,
        enable_model_summary=True,
    )
    module, data = tiny_module(loss_weights={"largest": 0.3}), tiny_data()
    console = get_console()
    with console.capture() as capture:
        trainer.fit(module, data)
        trainer.test(module, data, ckpt_path="best", verbose=False, weights_only=True)
    import wandb

    wandb.finish()
    return FinishedRun(folder, trainer, module, capture.get())
