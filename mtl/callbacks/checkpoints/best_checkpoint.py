"""`BestCheckpoint`: the checkpoint callback of every run, with settings of its own in the config (`checkpoint:`)."""

import shutil
import time
import warnings
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from mtl.callbacks.checkpoints.stop_signals import StopSignals, TrainingStopped
from mtl.callbacks.distributed.rank_consensus import RankConsensus
from mtl.runs.checkpoint_io import write_whole
from mtl.runs.metrics_csv import MetricsCSV

_MOST_TIME = 0.05  # share of the time that writes by the clock may take


class BestCheckpoint(ModelCheckpoint):
    """Keeps `checkpoints/best.ckpt` and `checkpoints/last.ckpt` in the run folder.

    `last.ckpt` is written after every validation (or with the first optimiser step after it, if gradients are
    accumulating), every few minutes between, and when Ctrl-C, SIGTERM or SLURM asks the
    run to stop; `fit --resume` continues from it to the same weights. A kill loses at most what was done since, and so
    does a signal in the middle of a validation.

    Args:
        monitor: what decides which epoch was best.
        mode: whether more (`max`) or less (`min`) of it is better.
        save_last: keep the last state too, to continue from.
        save_top_k: how many of the best to keep; -1 keeps all.
        filename: name of the best one, without `.ckpt`.
        dirpath: another folder than `checkpoints/` in the run folder.
        every_n_epochs: epochs between two looks.
        save_weights_only: leave out the state of the optimiser; such a file cannot be continued from.
        save_every_minutes: minutes between two writes of `last.ckpt`; 0 writes it after validations only. Training
            waits for the disk: a file is three times as large as the weights with AdamW, four times with an EMA (0.4 GB
            for a ResNet-50). Where a write takes so long that this costs more than 5 % of the time, it is made less
            often.
        save_every_steps: optimiser steps between two writes, beside the minutes.
    """

    def __init__(
        self,
        monitor: str = "val/score",
        mode: Literal["max", "min"] = "max",
        save_last: bool = True,
        save_top_k: int = 1,
        filename: str = "best",
        dirpath: str | Path | None = None,
        every_n_epochs: int | None = None,
        save_weights_only: bool = False,
        save_every_minutes: float = 5.0,
        save_every_steps: int | None = None,
    ) -> None:
        if save_every_minutes < 0 or (save_every_steps is not None and save_every_steps < 1):
            raise ValueError(
                f"save_every_minutes={save_every_minutes} must be 0 or above, save_every_steps={save_every_steps} at "
                "least 1 or null."
            )
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            every_n_epochs=every_n_epochs,
            save_weights_only=save_weights_only,
            auto_insert_metric_name=False,
            # after validation: the first epoch of a continued run may end without one
            save_on_train_epoch_end=False,
            # one best file that is replaced; more than one need numbers
            enable_version_counter=save_top_k != 1,
        )
        self.keep_last = save_last
        self.save_every_s = 60 * save_every_minutes
        self.save_every_steps = save_every_steps
        self._last_step = -1  # of which `last.ckpt` is
        self._seen_step = -1
        self._wanted = False  # `last.ckpt` is due
        self._stop = 0  # the signal that some rank got
        self._consensus = RankConsensus()
        self._validation_consensus = RankConsensus()
        self._validated = 0  # batches
        self._beside: Path | None = None  # folder of the checkpoint that a run continues from
        self._fitting = True
        self._signals = StopSignals()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        with warnings.catch_warnings():
            # the folder of a resumed run is not empty
            warnings.filterwarnings("ignore", message=r"Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._seen_step = trainer.global_step
        if trainer.ckpt_path and (Path(str(self.dirpath)) / "last.ckpt").is_file():
            self._last_step = trainer.global_step  # resumed from it
        self._consensus.start(trainer.global_step)
        if self.keep_last and not self.save_weights_only and not getattr(trainer, "fast_dev_run", False):
            self._signals.install(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        step = trainer.global_step
        if step == self._seen_step:  # gradients that are accumulating are in no checkpoint
            return
        self._seen_step = step
        look = self._consensus.poll(step, self._signals.asked)
        self._wanted |= self.save_every_steps is not None and step % self.save_every_steps == 0
        if look is not None:
            self._wanted |= 0 < self.save_every_s <= look.seconds or look.flag > 0
            self._stop = self._stop or look.flag
        if self._wanted and not _more_to_do(trainer, batch_idx):
            self._save_last(trainer)
            if self._stop:
                # Lightning (2.6) does it behind this hook, and the step that is saved will not come again
                trainer._logger_connector.update_train_step_metrics()
            self._stop_if_asked(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_start(trainer, pl_module)
        self._validation_consensus.start(self._validated)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._validated += 1
        look = self._validation_consensus.poll(self._validated, self._signals.asked)
        if look is not None and look.flag:
            # a state saved now would be resumed behind this validation, which may be longer than anybody waits
            self._stop = look.flag
            self._stop_if_asked(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._leave()
        super().on_exception(trainer, pl_module, exception)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._leave()
        super().teardown(trainer, pl_module, stage)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if _accumulating(trainer):
            self._wanted = True  # with the next optimiser step: gradients that are accumulating are in no checkpoint
        else:
            self._save_last(trainer)
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._stop_if_asked(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._save_last(trainer)

    def _save_last(self, trainer: Trainer) -> None:
        """Write `last.ckpt`; Lightning's own `save_last` writes it only together with a new best one.

        Not again after the last validation: a state saved when an epoch is complete resumes with an empty epoch.
        """
        fitting = (
            trainer.state.fn == "fit" and not trainer.sanity_checking and not getattr(trainer, "fast_dev_run", False)
        )
        if self.keep_last and fitting and trainer.global_step != self._last_step:
            self.last_model_path = str(Path(str(self.dirpath)) / "last.ckpt")
            started = time.monotonic()
            for logger in trainer.loggers:
                if isinstance(logger, MetricsCSV):
                    logger.flush()  # a run that is killed after this write resumes after these numbers
            trainer.save_checkpoint(self.last_model_path, self.save_weights_only)
            self._last_step = trainer.global_step
            self._wanted = False
            # all ranks wait for the first one, so they have measured the same
            self._consensus.restart(pause_s=(time.monotonic() - started) / _MOST_TIME - self.save_every_s)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if self._stop:
            # Lightning kills the first process of a launch when another one ends with an error
            code = None if trainer.global_rank == 0 else 0
            raise TrainingStopped(self._stop, trainer.global_step, self._last_step, code)

    def _leave(self) -> None:
        self._signals.restore()
        self._consensus.close()
        self._validation_consensus.close()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._beside = Path(trainer.ckpt_path).resolve().parent if trainer.ckpt_path else None
        self._fitting = trainer.state.fn == "fit"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self._fitting:  # a test keeps no checkpoints
            return
        state_dict = _of_its_folder(state_dict)
        # another folder, or a folder that was moved; Lightning would forget how good the best one was
        if state_dict["dirpath"] != str(self.dirpath):
            state_dict = self._moved(state_dict)
        super().load_state_dict(state_dict)

    def _moved(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state with the kept files copied into this run's folder; files that are gone are forgotten."""
        folder = self._beside or Path(state["dirpath"])
        kept = {path: score for path, score in state["best_k_models"].items() if self._source(path, folder).is_file()}
        if len(kept) < len(state["best_k_models"]):
            fresh: dict[str, Any] = self.state_dict()
            return fresh
        for path in kept:
            if self._source(path, folder) != self._here(path):
                _copy(self._source(path, folder), self._here(path))
        return {
            **state,
            "dirpath": str(self.dirpath),
            "best_k_models": {str(self._here(path)): score for path, score in kept.items()},
            "best_model_path": str(self._here(state["best_model_path"])) if state["best_model_path"] else "",
            "kth_best_model_path": str(self._here(state["kth_best_model_path"])) if kept else "",
            "last_model_path": "",
        }

    def _source(self, path: str, folder: Path) -> Path:
        """Where a kept file is: beside the checkpoint that is loaded, wherever its state says that it was."""
        beside = folder / Path(path).name
        return beside if beside.is_file() and not beside.is_symlink() else self._here(path)

    def _here(self, path: str) -> Path:
        return Path(str(self.dirpath)) / Path(path).name


def _of_its_folder(state: dict[str, Any]) -> dict[str, Any]:
    """The state without files that lie elsewhere than its checkpoints: Lightning deletes what falls behind."""
    folder = Path(state["dirpath"])

    def own(path: str) -> bool:
        return Path(path).parent == folder and Path(path).suffix == ".ckpt"

    single = ("best_model_path", "kth_best_model_path", "last_model_path")
    kept = {path: score for path, score in state["best_k_models"].items() if own(path)}
    return {**state, "best_k_models": kept, **{key: state[key] if own(state[key]) else "" for key in single}}


def _more_to_do(trainer: Trainer, batch_idx: int) -> bool:
    """Whether a validation or the end of the epoch follows; a state saved before it would be resumed behind it."""
    every = getattr(trainer, "val_check_batch", None)
    # without a number of epochs between validations, Lightning counts the batches of all epochs
    done = batch_idx if trainer.check_val_every_n_epoch is not None else trainer.fit_loop.total_batch_idx
    return trainer.is_last_batch or (isinstance(every, int) and every > 0 and (done + 1) % every == 0)


def _accumulating(trainer: Trainer) -> bool:
    """Whether a validation lies between two optimiser steps, with gradients of batches that are in no checkpoint."""
    if trainer.state.fn != "fit" or trainer.sanity_checking:
        return False
    return trainer.fit_loop._should_accumulate()


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as opened:
        write_whole(target, lambda file: shutil.copyfileobj(opened, file))
