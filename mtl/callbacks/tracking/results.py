"""`Results`: after a test or a validation alone, `results.json` in its folder and one small table on the screen."""

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich import get_console

from mtl.callbacks.model_parts import model_of
from mtl.callbacks.tracking.result_table import class_table, task_table
from mtl.module import MultiTaskLightningModule
from mtl.runs.memory import peak_memory_mb
from mtl.runs.metrics_csv import run_folder

_log = logging.getLogger(__name__)


class Results(Callback):
    """Writes every metric of a test, or of `validate`, under its log key, and prints a row for each task.

    A block `meta` says of which run and checkpoint.

    Also logs `best/score`, the best validation score so far: one number for a sweep to maximise.

    Args:
        run_dir: folder of the run; by default the one with `metrics.csv`, and without one nothing is written.
        show: print the tables.
    """

    def __init__(self, run_dir: Path | None = None, show: bool = True) -> None:
        self.run_dir = Path(run_dir) if run_dir is not None else None
        self.show = show
        self._steps = 0
        self._train_s = 0.0
        self._started_at: float | None = None
        self._best: float | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started_at = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            numbers = trainer.callback_metrics.items()
            self._report(trainer, pl_module, "val", {k: float(v) for k, v in numbers if k.startswith("val/")})
        score = trainer.callback_metrics.get("val/score")
        if trainer.sanity_checking or trainer.state.fn != "fit" or score is None:
            return
        self._best = max(float(score), float(score) if self._best is None else self._best)
        for logger in trainer.loggers:
            logger.log_metrics({"best/score": self._best}, step=trainer.global_step - 1)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._train_s, self._steps, self._started_at = self._seconds(), trainer.global_step, None

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._report(trainer, pl_module, "test", self.test_metrics(trainer))

    def _report(self, trainer: Trainer, pl_module: LightningModule, stage: str, metrics: Mapping[str, float]) -> None:
        if not trainer.is_global_zero or (not metrics and stage != "test"):
            return
        if not metrics:  # no label at all; the file says of which run
            _log.warning("the test has measured nothing: no sample of it has a label of a task that is trained.")
        run_dir = self.run_dir or run_folder(trainer)
        if run_dir is not None:
            # a validation beside a test, in a loop of one's own, has a file beside it
            alone = stage == "test" or not (run_dir / "results.json").exists()
            name = "results.json" if alone else "validation.json"
            write_results(run_dir / name, metrics, self._meta(run_dir, trainer, pl_module))
        if self.show:
            self._print(metrics, pl_module, run_dir, stage)

    def test_metrics(self, trainer: Trainer) -> dict[str, float]:
        """The numbers that the run is reported by, by log key `test/...`.

        Args:
            trainer: the trainer, after its test.
        """
        return {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("test/")}

    def state_dict(self) -> dict[str, Any]:
        return {"train_s": self._seconds(), "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # the best checkpoint is older than the end of training, and is loaded by the test that follows it
        self._train_s = self._train_s or state_dict["train_s"]
        self._best = self._best if self._best is not None else state_dict["best"]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # a test in a process of its own knows only the checkpoint
        self._steps = self._steps or checkpoint["global_step"]

    def _seconds(self) -> float:
        return self._train_s + (time.perf_counter() - self._started_at if self._started_at is not None else 0.0)

    def _meta(self, run_dir: Path, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        root = run_dir.resolve()
        # a later test of a run has a folder of its own inside it
        root = root.parent if (root.parent / "config.yaml").is_file() else root
        peak = peak_memory_mb(trainer.strategy.root_device)
        return {
            "experiment": root.parent.name,
            "name": root.name,
            "steps": self._steps,
            "train_seconds": round(self._train_s, 1),
            "peak_memory_mb": None if peak is None else round(peak, 1),
            "num_parameters": sum(parameter.numel() for parameter in model_of(pl_module).parameters()),
            "checkpoint": _checkpoint(trainer, run_dir),
            "tasks": _judged_by(pl_module),
        }

    def _print(
        self, metrics: Mapping[str, float], pl_module: LightningModule, run_dir: Path | None, stage: str
    ) -> None:
        console = get_console()
        tasks = list(pl_module.tasks)  # type: ignore[arg-type]
        if (classes := class_table(metrics, tasks, stage)) is not None:
            console.print("", classes)
        console.print("", task_table(metrics, tasks, stage))
        if run_dir is not None:
            console.print(f"run folder: {run_dir}", highlight=False, soft_wrap=True)


def _judged_by(pl_module: LightningModule) -> dict[str, Any]:
    """For every task the metric that it is judged by, and which of its metrics are errors."""
    if not isinstance(pl_module, MultiTaskLightningModule):
        return {}
    return {
        name: {
            "monitor": pl_module.model.head(name).monitor[0],
            "lower_is_better": sorted(metrics.lower_is_better),
        }
        for name, metrics in pl_module.task_metrics()
    }


def _checkpoint(trainer: Trainer, run_dir: Path) -> str | None:
    path = trainer.ckpt_path
    if not path:
        return None
    inside, root = Path(path).resolve(), run_dir.resolve()
    return inside.relative_to(root).as_posix() if inside.is_relative_to(root) else str(path)


def write_results(path: Path, metrics: Mapping[str, float], meta: Mapping[str, Any]) -> None:
    """Write the test metrics of a run: name -> number, and a block `meta`.

    Args:
        path: the file.
        metrics: numbers by log key; one that is not finite becomes null, as JSON has no NaN.
        meta: what else is worth knowing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
    part = path.with_suffix(".part")  # a full disk or a kill leaves no half a file
    part.write_text(json.dumps({**plain, "meta": dict(meta)}, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
