"""`python -m mtl runs`: a table of runs; `runs best`, `runs diff A B`, `runs rm RUN`.

python -m mtl runs                           all runs, the best score first
python -m mtl runs best --metric boxes/map50 the folder of the best one
python -m mtl runs diff RUN RUN              settings and metrics that differ
python -m mtl runs rm RUN ...                delete them, after a question
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtl.config.foreign_files import UnsafeFile
from mtl.config.paths import path
from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean, printable
from mtl.experiments.run_list import RunSummary, best_run, differing, list_runs, lowest_is_best, read_run, remove_run

_ACTIONS = ("list", "best", "diff", "rm")
_MOST_SHOWN = 4  # settings and metrics of a run


def runs(arguments: list[str]) -> None:
    """List, compare or delete runs.

    Args:
        arguments: what follows `runs`.

    Raises:
        ConfigError: if there is no such folder, run or metric.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    options.metric = options.metric.removeprefix("test/")  # as results.json writes it
    console = Console(highlight=False)
    wanted = {"diff": 2}.get(options.action, len(options.run) if options.action == "rm" else 0)
    if len(options.run) != wanted or (options.action == "rm" and not options.run):
        parser.error(f"`runs {options.action}` takes {'RUN ...' if options.action == 'rm' else f'{wanted} runs'}")
    if options.action == "diff":
        _show_differences(console, *[_run(folder, options.runs_root) for folder in options.run])
    elif options.action == "rm":
        _remove(console, [_run(folder, options.runs_root) for folder in options.run], options.yes)
    elif options.action == "best":
        best = best_run(list_runs(options.runs_root), options.metric, options.lowest or None)
        console.print(Text(f"{printable(str(best.path))}  {options.metric} {best.metrics[options.metric]:.4f}"))
    else:
        _show(console, list_runs(options.runs_root), options)


def _run(folder: Path, root: Path) -> RunSummary:
    """A run by its folder, or by its name below the root."""
    for place in (folder, root / folder):
        if (place / "config.yaml").is_file():
            return read_run(place, root)
    raise ConfigError(f"there is no run {str(folder)!r}, and none in {str(root)!r}: `python -m mtl runs` lists them.")


def _show(console: Console, found: Sequence[RunSummary], options: argparse.Namespace) -> None:
    lowest = options.lowest or lowest_is_best(found, options.metric)

    def rank(run: RunSummary) -> tuple[bool, bool, float, str]:
        number = run.score if options.metric == "score" else run.metrics.get(options.metric)
        if number is None or not math.isfinite(number):  # a NaN has no place in an order
            return True, run.in_part, 0.0, run.name
        return False, run.in_part, number * (1 if lowest else -1), run.name

    shown = sorted(found, key=rank)
    if not shown:
        console.print(Text(f"no run in {options.runs_root}"))
        return
    columns = options.metrics or list(dict.fromkeys(key for run in shown for key in run.monitored))[:_MOST_SHOWN]
    if options.metric not in ("score", *columns):
        known = sorted({key for run in shown for key in run.metrics})
        if options.metric not in known:
            raise ConfigError(
                f"no run has the metric {options.metric!r:.100}.{did_you_mean(options.metric, known)}"
                + (f" There are {', '.join(known[:20])}." if known else "")
            )
        columns = [options.metric, *columns]
    table = Table("run", "state", "score", *columns, "steps", "time", "MB", "differs in", box=None, pad_edge=False)
    for run in shown:
        score = "" if run.score is None else f"{run.score:.3f}{_origin(run)}"
        numbers = [f"{run.metrics[key]:.3f}" if key in run.metrics else "" for key in columns]
        cost = [_or_empty(run.steps, "{:,}"), _time(run.train_seconds), _or_empty(run.peak_memory_mb, "{:,.0f}")]
        cells = [run.name, run.state, score, *numbers, *cost, _settings(run.own)]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    if not console.is_terminal:  # a table in a file or a pipe has whole lines
        console.width = 1000
    console.print(table)


def _origin(run: RunSummary) -> str:
    """Which samples the numbers are of, where they are not all of the test."""
    return " (part)" if run.in_part else "" if run.tested else " (val)"


def _settings(own: Mapping[str, Any]) -> str:
    words = [f"{key.removeprefix('model.').replace('init_args.', '')}={value}" for key, value in own.items()]
    rest = f", {len(words) - _MOST_SHOWN} more" if len(words) > _MOST_SHOWN else ""
    return ", ".join(printable(word, 60) for word in words[:_MOST_SHOWN]) + rest


def _show_differences(console: Console, first: RunSummary, second: RunSummary) -> None:
    cost = [{"steps": run.steps, "train_seconds": run.train_seconds} for run in (first, second)]
    for title, pairs in (
        ("settings", differing(first.config, second.config)),
        ("metrics", differing(first.metrics, second.metrics)),
        ("cost", differing(*cost)),
    ):
        origins = [_origin(run) if title == "metrics" else "" for run in (first, second)]
        table = Table(title, first.name + origins[0], second.name + origins[1], box=None, pad_edge=False)
        for key, pair in pairs.items():
            table.add_row(*(Text(printable(cell)) for cell in (key, *map(_value, pair))))
        console.print(table if pairs else Text(f"{title}: no difference"))
        console.print()


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _remove(console: Console, found: Sequence[RunSummary], yes: bool) -> None:
    for run in found:
        if not yes:
            console.print(Text(f"delete {printable(str(run.path))} ({run.state})? [y/N] "), end="")
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                console.print("kept")
                continue
        try:
            remove_run(run.path)
        except OSError as error:
            raise UnsafeFile(f"{str(run.path)!r} cannot be deleted: {error.strerror or error}.") from error
        console.print(Text(f"deleted {printable(str(run.path))}"))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _or_empty(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mtl runs", description=__doc__, allow_abbrev=False, formatter_class=form)
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="list", help="[list]")
    parser.add_argument("run", nargs="*", type=path, help="diff, rm: folder of a run, or its name below --runs_root")
    parser.add_argument("--runs_root", type=path, default=Path("runs"), help="folder of all experiments, or one [runs]")
    parser.add_argument("--metric", default="score", help="list, best: sort by it, as boxes/map50 [score]")
    parser.add_argument("--metrics", nargs="+", help="list: columns [what every task is judged by]")
    parser.add_argument("--lowest", action="store_true", help="list, best: the smallest number is the best [if known]")
    parser.add_argument("--yes", action="store_true", help="rm: do not ask")
    return parser
