"""Loggers of a run: `metrics.csv` always, Weights & Biases, offline if its server does not answer, and TensorBoard."""

import importlib.util
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from mtl.callbacks.tracking.wandb_run import FINISH_S, WandbRun, refuse_settings_of_folder
from mtl.runs.metrics_csv import MetricsCSV

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tracking:
    """Where the numbers and pictures of a run go, beside `metrics.csv` in its folder.

    Args:
        wandb: `auto` takes Weights & Biases online where there is a key and a network, else its offline file, and
            obeys WANDB_MODE; where the package is not installed it writes the CSV alone and says so. `online` is an
            error where that is impossible; `offline`; `off` writes the CSV alone.
        project: W&B project; the experiment's name by default.
        entity: W&B user or team; the key's default one where none is given.
        group: W&B group of the run, such as the seeds of one method.
        tags: W&B tags of the run.
        log_checkpoint: upload the best checkpoint as a W&B artifact when training ends.
        finish_timeout_s: seconds that W&B may take at the end to upload what is left. Where its server is gone by then
            everything is in the run folder still, for `wandb sync`.

        tensorboard: write the numbers for TensorBoard too, beside W&B, into `tensorboard/` of the run folder:
            `tensorboard --logdir runs` shows all runs.
        figure_formats: formats in which the curves and figures of the run are written too, for papers.

    Raises:
        ValueError: if TensorBoard is to be written and its package is not installed.
        UnsafeFile: if W&B would take its settings, such as the server that gets the key, from the current folder.
    """

    wandb: Literal["auto", "online", "offline", "off"] = "auto"
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    log_checkpoint: bool = False
    finish_timeout_s: float = FINISH_S
    tensorboard: bool = False
    figure_formats: list[Literal["pdf", "svg"]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.tensorboard and not any(_is_installed(name) for name in ("tensorboard", "tensorboardX")):
            raise ValueError(
                "tracking.tensorboard is true, and the package tensorboard is not installed: "
                'pip install "mtl[tensorboard]", or set it to false.'
            )
        if self.wandb != "off":
            refuse_settings_of_folder()


def make_loggers(run_dir: Path, experiment: str, name: str, config: dict[str, Any], tracking: Tracking) -> list[Logger]:
    """The loggers of one run, all writing into its folder; they write and connect only when training starts.

    Args:
        run_dir: folder of the run.
        experiment: name of the experiment, the default W&B project.
        name: name of the run.
        config: the resolved config, shown by W&B.
        tracking: what the user chose.
    """
    loggers: list[Logger] = [MetricsCSV(run_dir / "metrics.csv")]
    if tracking.tensorboard:
        # in the run's folder itself: neither experiment nor version of its own
        loggers.append(TensorBoardLogger(run_dir, name="", version="tensorboard", default_hp_metric=False))
    if tracking.wandb == "auto" and not _is_installed("wandb"):
        _log.warning("the package wandb is not installed: this run is logged to %s alone.", run_dir / "metrics.csv")
    elif tracking.wandb != "off":
        loggers.append(
            WandbRun(
                run_dir,
                mode=tracking.wandb,
                project=tracking.project or experiment,
                name=name,
                entity=tracking.entity,
                group=tracking.group,
                tags=list(tracking.tags),
                config=config,
                log_checkpoint=tracking.log_checkpoint,
                finish_timeout_s=tracking.finish_timeout_s,
            )
        )
    return loggers


def _is_installed(package: str) -> bool:
    # looked for, not imported: that takes a second, and only the first rank needs it
    return sys.modules.get(package, ...) is not None and importlib.util.find_spec(package) is not None
