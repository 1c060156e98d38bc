"""`python -m mtl plot`: one metric of several runs as curves; seeds are a mean and a band.

    python -m mtl plot runs/compare/digits/Equal/seed* --metric val/score
    python -m mtl plot runs/digits/first runs/digits/second --to curves.pdf

Runs are one line where they are called `seed<number>` in one folder.
"""

import argparse
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from mtl.config.foreign_files import UnsafeFile
from mtl.config.paths import path
from mtl.config.yaml_lines import ConfigError
from mtl.drawing.figure_file import PAPER_FORMATS, also_in
from mtl.drawing.run_curves import FORMATS, Curve, draw_run_curves
from mtl.errors import did_you_mean, printable
from mtl.runs.metrics_csv import read_series

log = logging.getLogger(__name__)
_SEED = re.compile(r"seed\d+")


def plot(arguments: list[str]) -> None:
    """Draw one metric of several runs.

    Args:
        arguments: what follows `plot`.

    Raises:
        ConfigError: if a run or the metric is missing, or the file cannot be written.
    """
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("mtl plot", description=__doc__, allow_abbrev=False, formatter_class=form)
    parser.add_argument("run", nargs="+", type=path, help="folders of runs")
    parser.add_argument("--metric", default="val/score", help="a column of metrics.csv [val/score]")
    parser.add_argument("--to", type=path, default=Path("curves.png"), help="file: .png, .pdf or .svg [curves.png]")
    parser.add_argument("--each", action="store_true", help="a line for each run, no bands")
    add_format_flag(parser)
    options = parser.parse_args(arguments)
    if options.to.suffix.lower() not in FORMATS:
        raise ConfigError(f"--to {str(options.to)!r} must end with one of {', '.join(FORMATS)}.")
    if options.to.is_symlink() or (options.to.exists() and not options.to.is_file()):
        raise UnsafeFile(f"--to {str(options.to)!r} is a link or no file. Give it another name.")
    groups = groups_of(options.run, options.metric, options.each)
    try:
        written = draw_run_curves(groups, options.metric, options.to)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not written:
        raise ConfigError(f"--to {str(options.to)!r} cannot be written.")
    Console(highlight=False).print(Text(printable(str(options.to))), soft_wrap=True)


def groups_of(runs: Sequence[Path], metric: str, each: bool = False) -> dict[str, list[Curve]]:
    """The curves of runs; seeds of one folder are a group. Runs without the metric are left out with a warning.

    Args:
        runs: folders of runs.
        metric: a column of their `metrics.csv`.
        each: whether every run is a group of its own.

    Raises:
        ConfigError: if a run is missing, or no run has the metric.
        UnsafeFile: if the numbers of a run are damaged.
    """
    lacking: dict[Path, str] = {}  # such as a run that failed before its first validation
    levels: dict[Path, int] = {}
    curves: dict[Path, list[Curve]] = {}  # by the folder of the seeds, or of the run
    for run in dict.fromkeys(runs):
        file = run / "metrics.csv"
        if not file.is_file() and not (run / "config.yaml").is_file():
            raise ConfigError(f"{str(run)!r} has no metrics.csv. Give folders of runs; `mtl runs` lists them.")
        series = read_series(file) if file.is_file() else {}
        if metric not in series:
            known = f"{did_you_mean(metric, series)} There are {', '.join(series)}."
            lacking[run] = (
                f"{str(file)!r} has no column {metric!r:.100}.{known}" if series else f"{str(run)!r} is empty."
            )
            continue
        points = [point for point in zip(*series[metric], strict=True) if math.isfinite(point[1])]
        seed = _SEED.fullmatch(run.name) is not None and not each
        group = Path(os.path.abspath(run.parent if seed else run))
        curves.setdefault(group, []).append(([step for step, _ in points], [y for _, y in points]))
        levels[group] = 1 if seed else 2
    if lacking and not curves:
        raise ConfigError(max(lacking.values(), key=len))
    if lacking:
        log.warning("left out, without %s: %s", printable(metric), printable(", ".join(map(str, lacking))))
    return dict(zip(_names(levels), curves.values(), strict=True))


def _names(levels: Mapping[Path, int]) -> list[str]:
    """A name of its own for each folder: its last folders, as many as given, and more where two are called alike."""
    named = {folder: "/".join(folder.parts[-number:]) for folder, number in levels.items()}
    more = 1
    while len(set(named.values())) < len(named):
        twice = {name for name, count in Counter(named.values()).items() if count > 1}
        for folder in [folder for folder, name in named.items() if name in twice]:
            named[folder] = "/".join(folder.parts[-levels[folder] - more :])
        more += 1
    return [printable(name, 60) for name in named.values()]


def add_format_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--format` to a parser; without it figures are written in the format of their file alone.

    Args:
        parser: of a command that draws figures.
    """
    also_in(())
    text = "also write each figure as a file for papers, beside the other one"
    parser.add_argument("--format", nargs="+", choices=PAPER_FORMATS, action=_AlsoIn, default=[], help=text)


class _AlsoIn(argparse.Action):
    """Notes the formats when the flag is read, so that no command has to."""

    def __call__(self, parser: Any, namespace: Any, values: Sequence[Any] | str | None, option: Any = None) -> None:
        formats = [values] if isinstance(values, str) else [str(value) for value in values or ()]
        setattr(namespace, self.dest, formats)
        also_in(formats)
