"""Tables and pictures about many runs, as one run in W&B beside them."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtl.callbacks.tracking.wandb_run import WandbRun

MODES = ("off", "auto", "online", "offline")


def add_wandb_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that sends a command's tables to W&B.

    Args:
        parser: of the command.
    """
    parser.add_argument("--wandb", choices=MODES, default="off", help="also to Weights & Biases, as one run [off]")


def tables_to_wandb(mode: str, folder: Path, project: str, files: Sequence[Path]) -> None:
    """Log CSV files as tables and PNG files as pictures, in a run of the group `report`.

    Args:
        mode: as `--wandb` says it.
        folder: where the run is kept.
        project: the W&B project.
        files: what to log; others than CSV and PNG are left out.
    """
    if mode == "off":
        return
    run = WandbRun(folder, mode=mode, project=project, name="report", group="report", job_type="report")  # type: ignore[arg-type]
    import wandb

    logged = {
        f"{file.stem}/{file.suffix[1:]}": wandb.Image(str(file)) if file.suffix == ".png" else _table(file)
        for file in files
        if file.suffix in (".png", ".csv")
    }
    run.experiment.log(logged)
    run.close()


def _table(file: Path) -> Any:
    import wandb

    with file.open(newline="", encoding="utf-8") as opened:
        head, *rows = csv.reader(opened)
    columns: list[Any] = list(head)
    return wandb.Table(columns=columns, data=[list(map(_value, row)) for row in rows])


def _value(cell: str) -> Any:
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell
