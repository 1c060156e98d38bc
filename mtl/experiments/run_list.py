"""What a folder of runs holds: of each run its state, its score and metrics, its cost, and the settings of its own.

for run in list_runs(Path("runs")):
    print(run.name, run.state, run.score, run.own)
"""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mtl.config.foreign_files import UnsafeFile
from mtl.config.paths import is_name
from mtl.config.yaml_lines import ConfigError, read_yaml
from mtl.errors import did_you_mean, printable
from mtl.evaluation.tables.report import FAILED, read_results
from mtl.experiments.queued_run import PLACE_KEYS, STOPPED_EARLY
from mtl.runs.metrics_csv import read_series
from mtl.runs.resume import is_in_use
from mtl.runs.run_folder import discard

_log = logging.getLogger(__name__)
_MOST_RUNS, _MOST_LEVELS, _MOST_ENTRIES = 2_000, 5, 100_000
_ABSENT = "-"  # shown for a setting that one of two configs does not have


@dataclass(frozen=True)
class RunSummary:
    """One run as a row of the table.

    Args:
        path: the run's folder.
        name: the folder below the root, as `digits/first`.
        state: `running`, `finished`, `stopped early`, `failed`, or `unfinished`: without a result of the test.
        metrics: numbers of the test by log key without `test/`; without a test, the last ones of validation.
        monitored: the metrics that its tasks are judged by, as `boxes/map50`.
        lower_is_better: metrics whose smallest number is the best one.
        score: score of the test, else the best of validation; None where there is neither.
        tested: whether the numbers are from the test.
        in_part: whether that was a part of the test samples only, as in a run with `presets/debug.yaml`.
        steps: optimiser steps.
        train_seconds: time of training.
        peak_memory_mb: most memory.
        config: the settings by dotted key.
        own: settings that differ between the runs of its experiment.
    """

    path: Path
    name: str
    state: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    monitored: tuple[str, ...] = ()
    lower_is_better: frozenset[str] = frozenset()
    score: float | None = None
    tested: bool = False
    in_part: bool = False
    steps: int | None = None
    train_seconds: float | None = None
    peak_memory_mb: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def experiment(self) -> str:
        """The folder that the run shares with the others of its experiment."""
        return self.name.rpartition("/")[0]


def list_runs(root: Path) -> list[RunSummary]:
    """All runs below a folder, by name. A damaged run keeps its row, and a warning tells why it has no numbers.

    Args:
        root: folder of all experiments, or of one.

    Raises:
        ConfigError: if there is no such folder.
    """
    if not root.is_dir():
        raise ConfigError(f"there is no folder {str(root)!r}. Give --runs_root the folder that holds the runs.")
    found = [read_run(path, root) for path in islice(_folders(root), _MOST_RUNS)]
    experiments: dict[str, list[RunSummary]] = {}
    for run in found:
        experiments.setdefault(run.experiment, []).append(run)
    own = {run.name: settings for runs in experiments.values() for run, settings in _own(runs)}
    return [replace(run, own=own[run.name]) for run in found]


def read_run(path: Path, root: Path) -> RunSummary:
    """One run.

    Args:
        path: its folder.
        root: the folder that its name begins below.
    """
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    run = RunSummary(path, name if name != "." else path.name, state_of(path))
    try:
        run = replace(run, config=_flat(read_yaml(path / "config.yaml")))
        if (path / "results.json").is_file():
            return _with_results(run, read_results(path / "results.json"))
        if (path / "metrics.csv").is_file():
            return _with_series(run, read_series(path / "metrics.csv"))
    except (ValueError, OSError) as error:
        _log.warning("%s: %s", printable(name), printable(str(error)))
    return run


def state_of(path: Path) -> str:
    """The state of a run, as `RunSummary` says it; a run that died without a word is `unfinished`.

    Args:
        path: the run's folder.
    """
    if is_in_use(path):
        return "running"
    files = (("results.json", "finished"), (STOPPED_EARLY, "stopped early"), (FAILED, "failed"))
    return next((state for file, state in files if (path / file).is_file()), "unfinished")


def lowest_is_best(runs: Sequence[RunSummary], metric: str) -> bool:
    """Whether the smallest number of a metric is the best one: of a loss, and where its task says so.

    Args:
        runs: the runs.
        metric: as in `RunSummary.metrics`.
    """
    return metric.startswith("loss/") or any(metric in run.lower_is_better for run in runs)


def best_run(runs: Sequence[RunSummary], metric: str = "score", lowest: bool | None = None) -> RunSummary:
    """The run with the best number of the test; one that was tested on a part of it only where there is no other.

    Args:
        runs: the runs.
        metric: `score`, or a metric of a task as `boxes/map50`.
        lowest: whether the smallest number is the best one; by default what is known of the metric.

    Raises:
        ConfigError: if no tested run has this metric.
    """
    have = [run for run in runs if run.tested and metric in run.metrics]
    have = [run for run in have if not run.in_part] or have  # the score of a few samples is mostly chance
    if not have:
        known = sorted({key for run in runs if run.tested for key in run.metrics})
        near = did_you_mean(metric, known) + (f" There are {', '.join(known[:20])}." if known else "")
        raise ConfigError(f"no tested run has the metric {metric!r:.100}.{near}")
    smallest = lowest_is_best(have, metric) if lowest is None else lowest
    return (min if smallest else max)(have, key=lambda run: run.metrics[metric])


def latest_run(root: Path) -> Path:
    """The run that was started or resumed last, among experiments and comparisons.

    Args:
        root: folder of all experiments.

    Raises:
        ConfigError: if there is none.
    """
    started: dict[Path, float] = {}
    for path in islice(_folders(root), _MOST_RUNS) if root.is_dir() else ():
        record = path / "command.txt"  # written when a run begins
        started[path] = (record if record.is_file() else path / "config.yaml").stat().st_mtime
    if not started:
        raise ConfigError(f"there is no run in {str(root)!r} that could be the latest. Name the folder of a run.")
    return max(started, key=lambda path: started[path])


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two flat mappings, such as configs or metrics; `-` where one has no such key.

    Args:
        first: by key.
        second: by key.
    """
    pairs = {key: (first.get(key, _ABSENT), second.get(key, _ABSENT)) for key in dict.fromkeys([*first, *second])}
    return {key: pair for key, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


def remove_run(path: Path) -> None:
    """Delete the folder of a run.

    Args:
        path: the folder.

    Raises:
        ConfigError: if a process trains there.
        UnsafeFile: if it is no folder of a run.
    """
    if path.is_symlink() or not all((path / file).is_file() for file in ("config.yaml", "command.txt")):
        raise UnsafeFile(
            f"{str(path)!r} is no folder of a run: it needs config.yaml and command.txt. Nothing was deleted."
        )
    if is_in_use(path):
        raise ConfigError(f"run {str(path)!r} is in use. Stop it first. Nothing was deleted.")
    discard(path)


def _folders(root: Path) -> Iterator[Path]:
    """Folders with a config.yaml; a test inside a run is part of it, and links are not followed."""
    level, seen = [root], 0
    for _ in range(_MOST_LEVELS):
        below: list[Path] = []
        for folder in level:
            if (folder / "config.yaml").is_file():
                yield folder
                continue
            try:
                with os.scandir(folder) as entries:
                    names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            except OSError:
                continue
            seen += len(names)
            below += [folder / name for name in names if is_name(name)]
        level = below if seen < _MOST_ENTRIES else []


def _with_results(run: RunSummary, results: Mapping[str, Any]) -> RunSummary:
    meta = results["meta"]
    numbers = {key.removeprefix("test/"): value for key, value in results.items() if key.startswith("test/")}
    metrics = {key: float(value) for key, value in numbers.items() if value is not None}
    return replace(
        run,
        metrics=metrics,
        monitored=tuple(f"{task}/{judged['monitor']}" for task, judged in meta["tasks"].items()),
        lower_is_better=frozenset(
            f"{task}/{name}" for task, judged in meta["tasks"].items() for name in judged.get("lower_is_better", ())
        ),
        score=metrics.get("score"),
        tested=True,
        in_part=_is_in_part(run.config),
        steps=meta["steps"],
        train_seconds=meta["train_seconds"],
        peak_memory_mb=meta["peak_memory_mb"],
    )


def _is_in_part(config: Mapping[str, Any]) -> bool:
    limit = config.get("trainer.limit_test_batches")
    batches = isinstance(limit, int) or (isinstance(limit, float) and limit < 1)  # 1 is one batch, 1.0 is all
    return batches or bool(config.get("trainer.fast_dev_run"))


def _with_series(run: RunSummary, series: Mapping[str, tuple[list[int], list[float]]]) -> RunSummary:
    last = {key.removeprefix("val/"): values[-1] for key, (_, values) in series.items() if key.startswith("val/")}
    scores = [value for value in series.get("val/score", ([], []))[1] if math.isfinite(value)]
    steps = max((steps[-1] + 1 for steps, _ in series.values()), default=None)
    return replace(run, metrics=last, score=max(scores, default=None), steps=steps)


def _own(runs: Sequence[RunSummary]) -> Iterator[tuple[RunSummary, dict[str, Any]]]:
    """Each run of an experiment with its settings that not all of them share."""
    read = [run for run in runs if run.config]
    keys = dict.fromkeys(key for run in read for key in run.config)
    varying = [key for key in keys if len({repr(run.config.get(key, _ABSENT)) for run in read}) > 1]
    for run in runs:
        yield run, {key: run.config[key] for key in varying if key in run.config}


def _flat(values: Any, key: str = "") -> dict[str, Any]:
    """Nested settings by dotted key, without the keys that only say where a run lies."""
    if isinstance(values, dict) and values:
        pairs = [(f"{key}.{name}" if key else str(name), value) for name, value in values.items()]
        return {k: v for name, value in pairs if name not in PLACE_KEYS for k, v in _flat(value, name).items()}
    return {key: values} if key else {}
