"""Read the config of every row of a comparison before its first run, so that a typo costs a second and not a night."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl.config.command_line import read_command_line
from mtl.config.yaml_lines import ConfigError, dump_yaml
from mtl.experiments.queued_run import QueuedRun
from mtl.experiments.single_tasks import BALANCER


def refuse_wrong_rows(runs: Sequence[QueuedRun], flags: Sequence[str]) -> None:
    """Refuse what the runs would refuse when they read their config; nothing is written into their folders.

    Args:
        runs: the runs; one of each folder is read.
        flags: words that every run gets.

    Raises:
        ConfigError: naming the row, or the line or flag that is wrong for all.
    """
    from mtl.cli.trainer.parser import Settings  # imports Lightning

    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "overlay.yaml"
        for run in {run.folder: run for run in runs}.values():
            overlay.write_text(dump_yaml(run.settings()), "utf-8")
            words = [str(overlay) if word == str(run.settings_file) else word for word in run.words(flags)]
            try:
                settings = Settings(read_command_line("fit", words)).values()
            except ConfigError as error:
                of_row = error.origin is not None and str(overlay) in str(error.origin)
                where = f"row {run.folder.name!r} of the comparison: " if of_row else ""
                raise ConfigError(f"{where}{error.message}", None if of_row else error.origin) from error
            _refuse_two_balancers(run.folder.name, settings)


def _refuse_two_balancers(row: str, settings: Mapping[str, Any]) -> None:
    places = [str(callback["class_path"]) for callback in settings["trainer"].get("callbacks") or []]
    if sum(place.rpartition(".")[2] == BALANCER for place in places) > 1:
        raise ConfigError(
            f"row {row!r} of the comparison: trainer.callbacks holds {BALANCER} twice, since the config has one and "
            "the row of a method adds its own. Remove it from the config; a row that trains as the config says is "
            "`{name: joint, overlay: {}}`."
        )
