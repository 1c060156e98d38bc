"""`BestCheckpoint`: the checkpoint callback of every run, with settings of its own in the config (`checkpoint:`)."""

import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only


class BestCheckpoint(ModelCheckpoint):
    """Keeps `checkpoints/best.ckpt` and `checkpoints/last.ckpt` in the run folder.

    Args:
        monitor: what decides which epoch was best.
        mode: whether more (`max`) or less (`min`) of it is better.
        save_last: keep the last state too, to continue from.
        save_top_k: how many of the best to keep; -1 keeps all.
        filename: name of the best one, without `.ckpt`.
        dirpath: another folder than `checkpoints/` in the run folder.
        every_n_epochs: epochs between two looks.
        save_weights_only: leave out the state of the optimiser; such a file cannot be continued from.
    """

    def __init__(
        self,
        monitor: str = "val/score",
        mode: str = "max",
        save_last: bool = True,
        save_top_k: int = 1,
        filename: str = "best",
        dirpath: str | None = None,
        every_n_epochs: int | None = None,
        save_weights_only: bool = False,
    ) -> None:
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
        self._last_step = -1

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        self._save_last(trainer)

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
            self._last_step = trainer.global_step
            self.last_model_path = str(Path(str(self.dirpath)) / "last.ckpt")
            trainer.save_checkpoint(self.last_model_path, self.save_weights_only)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # training continues in a folder of its own; Lightning would forget how good the best one was
        if state_dict["dirpath"] != str(self.dirpath):
            state_dict = self._moved(state_dict)
        super().load_state_dict(state_dict)

    def _moved(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state with the kept files copied into this run's folder; files that are gone are forgotten."""
        kept = {path: score for path, score in state["best_k_models"].items() if Path(path).is_file()}
        if len(kept) < len(state["best_k_models"]):
            fresh: dict[str, Any] = self.state_dict()
            return fresh
        for path in kept:
            _copy(Path(path), self._here(path))
        return {
            **state,
            "dirpath": str(self.dirpath),
            "best_k_models": {str(self._here(path)): score for path, score in kept.items()},
            "best_model_path": str(self._here(state["best_model_path"])) if state["best_model_path"] else "",
            "kth_best_model_path": str(self._here(state["kth_best_model_path"])) if kept else "",
            "last_model_path": "",
        }

    def _here(self, path: str) -> Path:
        return Path(str(self.dirpath)) / Path(path).name


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
