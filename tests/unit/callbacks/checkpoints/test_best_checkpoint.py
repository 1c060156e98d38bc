import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from mtl.callbacks.checkpoints.best_checkpoint import BestCheckpoint
from mtl.callbacks.checkpoints.stop_signals import TrainingStopped
from mtl.runs.metrics_csv import MetricsCSV, read_series


def state(folder: Path, name: str = "best.ckpt") -> dict[str, Any]:
    path = str(folder / name)
    return {
        **BestCheckpoint(dirpath=str(folder)).state_dict(),
        "best_model_score": torch.tensor(0.7),
        "best_model_path": path,
        "best_k_models": {path: torch.tensor(0.7)},
        "kth_best_model_path": path,
        "kth_value": torch.tensor(0.7),
        "last_model_path": str(folder / "last.ckpt"),
    }


def test_a_continued_run_takes_the_best_checkpoint_along(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    (before / "best.ckpt").write_text("weights")
    callback = BestCheckpoint(dirpath=str(tmp_path / "after"))
    callback.load_state_dict(state(before))
    here = tmp_path / "after" / "best.ckpt"
    assert here.read_text() == "weights"
    assert callback.best_model_path == callback.kth_best_model_path == str(here)
    assert callback.best_k_models == {str(here): torch.tensor(0.7)}
    assert callback.best_model_score == 0.7
    assert (before / "best.ckpt").exists()


def test_a_best_checkpoint_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    callback = BestCheckpoint(dirpath=str(tmp_path / "after"))
    callback.load_state_dict(state(tmp_path / "before"))
    assert (callback.best_model_path, callback.best_model_score) == ("", None)


def test_the_same_folder_keeps_everything(tmp_path: Path) -> None:
    callback = BestCheckpoint(dirpath=str(tmp_path))
    callback.load_state_dict(state(tmp_path))
    assert callback.best_model_path == str(tmp_path / "best.ckpt")
    assert callback.last_model_path == str(tmp_path / "last.ckpt")


def test_the_joint_score_decides_by_default() -> None:
    callback = BestCheckpoint()
    assert (callback.monitor, callback.mode, callback.keep_last) == ("val/score", "max", True)


class Worsening(BoringModel):
    """Its score is best at the first validation."""

    def on_validation_epoch_end(self) -> None:
        self.log("val/score", -float(self.trainer.global_step))


def test_last_is_the_last_state_and_best_the_best(tmp_path: Path) -> None:
    model: LightningModule = Worsening()
    trainer = Trainer(
        max_steps=7,
        val_check_interval=2,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        accelerator="cpu",
        logger=False,
        callbacks=[BestCheckpoint(dirpath=str(tmp_path))],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model)
    steps = {name: torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["global_step"] for name in ("best", "last")}
    assert steps == {"best": 2, "last": 7}


class Stop(Exception):
    """A kill."""


def killed(checkpoint: BestCheckpoint, step: int) -> BestCheckpoint:
    """Dies right after its first write of `last.ckpt` from this step on, as a machine does."""
    save = checkpoint._save_last

    def save_and_die(trainer: Trainer) -> None:
        before = checkpoint._last_step
        save(trainer)
        if checkpoint._last_step not in (before, *range(step)):
            raise Stop

    checkpoint._save_last = save_and_die  # type: ignore[method-assign]
    return checkpoint


class Steps(Callback):
    """The batch after which each validation came."""

    def __init__(self) -> None:
        self.validated: list[int] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validated.append(trainer.fit_loop.total_batch_idx)


def fit(tiny: Any, checkpoint: BestCheckpoint, resume: str | None = None, **options: Any) -> tuple[Any, list[int]]:
    torch.manual_seed(0)
    module, steps = tiny.module(), Steps()
    one = tiny.trainer([checkpoint, steps], enable_checkpointing=True, **options)
    with suppress(Stop):
        one.fit(module, tiny.data(), ckpt_path=resume, weights_only=False)
    return module, steps.validated


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate_grad_batches": 4, "val_check_interval": 3, "max_steps": 5},
        {"check_val_every_n_epoch": None, "val_check_interval": 4, "max_steps": 14},
    ],
    ids=["validation in an accumulation window", "validations counted over epochs"],
)
def test_a_run_that_was_killed_after_a_write_goes_on_as_if_nothing_had_been(
    options: dict[str, Any], tiny: Any, tmp_path: Path
) -> None:
    every, at = ({"save_every_steps": 8}, 8) if "check_val_every_n_epoch" in options else ({}, 0)
    whole, validated = fit(tiny, BestCheckpoint(dirpath=str(tmp_path / "whole"), **every), **options)
    _, before = fit(tiny, killed(BestCheckpoint(dirpath=str(tmp_path / "cut"), **every), at), **options)
    last = str(tmp_path / "cut" / "last.ckpt")
    resumed, after = fit(tiny, BestCheckpoint(dirpath=str(tmp_path / "cut"), **every), last, **options)
    assert before + after == validated
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_numbers_of_before_a_write_are_on_disk_when_the_run_dies_behind_it(tiny: Any, tmp_path: Path) -> None:
    """As `kill -9`: nothing closes the logger."""
    options: dict[str, Any] = {"check_val_every_n_epoch": None, "val_check_interval": 4, "max_steps": 14}
    logger = MetricsCSV(tmp_path / "metrics.csv")
    logger.finalize = lambda status: None  # type: ignore[method-assign]
    fit(tiny, killed(BestCheckpoint(dirpath=str(tmp_path)), 8), logger=[logger], **options)
    steps, scores = read_series(tmp_path / "metrics.csv")["val/score"]
    assert steps == [3, 7]
    assert len(scores) == 2


def test_the_numbers_of_the_step_at_which_a_run_is_stopped_are_kept(tiny: Any, tmp_path: Path) -> None:
    class Ask(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    torch.manual_seed(0)
    options: dict[str, Any] = {"log_every_n_steps": 2, "max_steps": 6, "enable_checkpointing": True}
    logger = MetricsCSV(tmp_path / "metrics.csv")
    run = tiny.trainer([BestCheckpoint(dirpath=str(tmp_path)), Ask()], logger=[logger], **options)
    with pytest.raises(TrainingStopped):
        run.fit(tiny.module(), tiny.data())
    assert torch.load(tmp_path / "last.ckpt", weights_only=False)["global_step"] == 4
    assert read_series(tmp_path / "metrics.csv")["train/loss"][0] == [1, 3]
