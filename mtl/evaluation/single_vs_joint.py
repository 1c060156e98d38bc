"""Results of several runs side by side, mean and spread over seeds, as a Markdown table.

    python -m mtl.evaluation.single_vs_joint --runs runs
    python -m mtl.evaluation.single_vs_joint --runs runs --experiments digits digits_single_boxes --metrics boxes/map

Reads `results.json` of every `<experiment>/<run>` folder; one row per experiment, one column per metric.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import get_console

from mtl.errors import did_you_mean, printable
from mtl.evaluation.report import read_results
from mtl.evaluation.report_files import cell


def table(runs: Sequence[Path], metrics: Sequence[str] | None = None) -> str:
    """A Markdown table: one row per experiment, mean ± standard deviation over its runs.

    Args:
        runs: run folders with a `results.json`.
        metrics: metrics to show, as `boxes/map` or with the stage as `test/boxes/map`; by default those that every
            task is judged by: all that are neither of a single class nor a loss.

    Returns:
        The table; a cell is empty where an experiment has no such metric. The spread is that of a sample (n - 1) and
        missing for a single run.

    Raises:
        ValueError: without any run, or for a metric that no run has.
    """
    if not runs:
        raise ValueError("there is no run with a results.json; train one with `python -m mtl fit --config ...`.")
    experiments: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        results = read_results(Path(run) / "results.json")
        experiments.setdefault(printable(str(results["meta"].get("experiment")), 100), []).append(results)
    known = list(dict.fromkeys(key for group in experiments.values() for results in group for key in results))
    keys = [_key(metric, known) for metric in metrics] if metrics else [key for key in known if _is_shown(key)]
    head = ["experiment", "runs", *(key.removeprefix("test/") for key in keys), "train time"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, group in experiments.items():
        seconds = [results["meta"].get("train_seconds") for results in group]
        cells = [_cell([results.get(key) for results in group], "{:.3f}") for key in keys]
        lines.append([name, str(len(group)), *cells, _cell(seconds, "{:.0f}", " s")])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def find_runs(root: Path, experiments: Sequence[str] | None = None) -> list[Path]:
    """Run folders with results, in order of experiment and name.

    Args:
        root: folder of the runs, `runs`.
        experiments: only these, in this order; all by default.

    Raises:
        ValueError: for an experiment without results.
    """
    there = sorted({path.parent.parent.name for path in root.glob("*/*/results.json")})
    for name in experiments or ():
        if name not in there:
            raise ValueError(
                f"{str(root)!r} has no results of experiment {name!r}; it has {', '.join(there) or 'none at all'}."
                f"{did_you_mean(name, there)}"
            )
    return [path.parent for name in experiments or there for path in sorted((root / name).glob("*/results.json"))]


def _key(metric: str, known: Sequence[str]) -> str:
    for key in (metric, f"test/{metric}"):
        if key in known and key != "meta":
            return key
    shown = [key.removeprefix("test/") for key in known if key != "meta"]
    raise ValueError(f"no run has a metric {metric!r}.{did_you_mean(metric, shown)} There are {', '.join(shown)}.")


def _is_shown(key: str) -> bool:
    return key.startswith("test/") and not key.startswith("test/loss/") and key.count("/") < 3


def _cell(values: Sequence[float | None], form: str, unit: str = "") -> str:
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    return cell(numbers, form) + unit if numbers else ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table.

    Args:
        arguments: the command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs [runs]")
    parser.add_argument("--experiments", nargs="+", help="only these, in this order [all]")
    parser.add_argument("--metrics", nargs="+", help="metrics such as boxes/map [one row's worth of all tasks]")
    options = parser.parse_args(arguments)
    try:
        text = table(find_runs(options.runs, options.experiments), options.metrics)
    except ValueError as error:
        parser.exit(2, f"{error}\n")
    # not wrapped: it is pasted into a README
    get_console().print(text, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
