"""What lies on the disk for a run of a comparison, and whether it is what would be trained now."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError, read_yaml
from mtl.evaluation.report import FAILED
from mtl.experiments.comparison import Cell
from mtl.experiments.settings_record import is_other


def overlay_file(cell: Cell) -> Path:
    """What was laid over the config, beside the run's folder.

    Args:
        cell: the run.
    """
    return cell.folder / f"{cell.name}.yaml"


def is_done(cell: Cell) -> bool:
    """Whether a run has its results.

    Args:
        cell: the run.
    """
    return (cell.path / "results.json").is_file()


def is_unchanged(cell: Cell) -> bool:
    """Whether what was laid over the config of a run is what would be now.

    Args:
        cell: the run.
    """
    file = overlay_file(cell)
    return not file.is_file() or read_yaml(file) == cell.overlay


def refuse_changed(cells: Sequence[Cell]) -> None:
    """Do not take results for a row that is another one by now.

    Args:
        cells: the runs.

    Raises:
        ConfigError: if a run with results had other settings.
    """
    changed = [str(cell.path) for cell in cells if is_done(cell) and not is_unchanged(cell)]
    if changed:
        named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise ConfigError(
            f"the settings of these runs have changed since they were trained: {named}. Delete their folders to train "
            "them again, or give their rows another `name`."
        )


def begin_anew_with_other_settings(cells: Sequence[Cell], file: Path, record: Mapping[str, Any]) -> None:
    """Where no run has results, a corrected command replaces the settings; runs that were cut off begin anew.

    Args:
        cells: the runs.
        file: the record of the settings, in the folder of the runs.
        record: the settings now.
    """
    if any(map(is_done, cells)) or not is_other(file, record):
        return
    for cell in cells:
        if (cell.path / "config.yaml").is_file():
            (cell.path / FAILED).write_text("the settings of the comparison have changed\n", "utf-8")
    file.unlink()


def log_file(cell: Cell) -> Path:
    """What the run printed, beside its folder.

    Args:
        cell: the run.
    """
    return cell.folder / f"{cell.name}.log"
