"""A run that a queue trains, as files: its folder, and beside it the settings it was started with and its log."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError, read_yaml
from mtl.evaluation.tables.report import FAILED
from mtl.experiments.settings_record import differences

PLACE_KEYS = ("name", "experiment", "runs_root")  # keys of the config that a queue sets for every run
STOPPED_EARLY = "stopped_early.txt"  # in the folder of a run that was ended because it fell behind: why


@dataclass(eq=False)
class QueuedRun(ABC):
    """One run of a comparison or a sweep.

    Args:
        folder: the folder of its experiment.
        name: of the run.
    """

    folder: Path
    name: str

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What distinguishes this run from the others of its folder, as plain values."""

    @abstractmethod
    def words(self, flags: Sequence[str]) -> list[str]:
        """The words of `fit`, without the run's place.

        Args:
            flags: words that every run gets.
        """

    def fell_behind(self) -> bool:
        """Whether the run should be ended early; true once at most. The queue polls this while the run trains."""
        return False

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder / self.name

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.folder / f"{self.name}.log"

    @property
    def settings_file(self) -> Path:
        """The settings that the run was started with."""
        return self.folder / f"{self.name}.yaml"

    @property
    def state(self) -> str:
        """`done`, `stopped early`, `FAILED` or, where there is more to train, `unfinished`."""
        for file, state in (("results.json", "done"), (STOPPED_EARLY, "stopped early"), (FAILED, "FAILED")):
            if (self.path / file).is_file():
                return state
        return "unfinished"

    @property
    def is_done(self) -> bool:
        """Whether the run has its results."""
        return self.state == "done"

    @property
    def is_closed(self) -> bool:
        """Whether the queue has nothing left to do for the run."""
        return self.state in ("done", "stopped early")

    def is_unchanged(self) -> bool:
        """Whether the run was started with the settings that it has now, or not started at all."""
        return not self.settings_file.is_file() or read_yaml(self.settings_file) == self.settings()


def refuse_changed(runs: Sequence[QueuedRun]) -> None:
    """Refuse results of runs whose settings have changed.

    Args:
        runs: the runs.

    Raises:
        ConfigError: if a run with results had other settings.
    """
    changed = [str(run.path) for run in runs if run.is_done and not run.is_unchanged()]
    if changed:
        named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise ConfigError(
            f"the settings of these runs have changed since they were trained: {named}. Delete their folders to train "
            "them again, or give their rows another `name`."
        )


def begin_anew_with_other_settings(runs: Sequence[QueuedRun], file: Path, record: Mapping[str, Any]) -> None:
    """Where no run has results, a corrected command replaces the settings; runs that were cut off begin anew.

    Args:
        runs: the runs.
        file: the record of the settings, in the folder of the runs.
        record: the settings now.
    """
    if any(run.is_closed for run in runs) or not differences(file, record):
        return
    for run in runs:
        if (run.path / "config.yaml").is_file():
            (run.path / FAILED).write_text("the settings of all runs have changed\n", "utf-8")
    file.unlink()
