"""Rows of a report among the published rows of a benchmark, with the gain as that table defines it.

A table is a CSV file; lines before the header say `# title:`, `# delta:` (a name in `GAINS`), `# baseline:` (the row
that gains are over) and `# protocol:` (how the rows were made). A column is `task/metric`, then `x100` where the table
gives percent, then `higher` or `lower`, whichever is better. Then come `delta`, as printed, and `source`.
"""

import csv
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mtl.config.shipped import shipped_configs
from mtl.errors import did_you_mean
from mtl.evaluation.tables.delta_m import Metric
from mtl.evaluation.tables.report import GAINS, Report

FOLDER = Path("configs/published")
_HEADER = ("title", "delta", "baseline", "protocol")
_WORDS = {
    "delta_m_flat": "mean relative loss over all metrics alike, in percent, lower is better",
    "delta_m_per_task": "mean relative gain over tasks, first averaged over each task's metrics, in percent, higher is "
    "better",
    "delta_m": "mean relative gain of one metric for each task, in percent, higher is better",
}


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper.

    Args:
        title: data and network.
        delta: definition of the gain, a name in `GAINS`.
        baseline: name of the row that gains are over.
        protocol: how the rows were made.
        factors: what our metrics are multiplied by, by metric.
        rows: values by row and `task/metric`.
        printed: the gain that the source prints, by row; NaN where it prints none.
        sources: of every row.
    """

    title: str
    delta: str
    baseline: str
    protocol: str
    factors: Mapping[Metric, float]
    rows: Mapping[str, Mapping[str, float]]
    printed: Mapping[str, float]
    sources: Mapping[str, str]

    def gain(self, values: Mapping[str, float]) -> float:
        """The gain over the published baseline, as this table defines it.

        Args:
            values: by `task/metric`, in the units of the table.
        """
        return float(GAINS[self.delta](values, self.rows[self.baseline], list(self.factors)))


def read_published(name: str, folder: Path | None = None) -> PublishedTable:
    """A published table.

    Args:
        name: name of a file in the folder without `.csv`, or the path of a file.
        folder: where the tables lie; `configs/published` here, or else those that come with the package.

    Raises:
        ValueError: if there is no such table, or the file does not say what it must.
    """
    if folder is None:
        folder = FOLDER if FOLDER.is_dir() else (shipped_configs() or FOLDER.parent) / FOLDER.name
    path = Path(name) if name.endswith(".csv") else folder / f"{name}.csv"
    if not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.csv"))
        there = f"Tables in {str(folder)!r}: {', '.join(known)}." if known else f"There are none in {str(folder)!r}."
        raise ValueError(f"there is no published table {name!r}.{did_you_mean(name, known)} {there}")
    lines = path.read_text("utf-8").splitlines()
    about = dict(line[1:].strip().split(": ", 1) for line in lines if line.startswith("#") and ": " in line)
    if missing := [key for key in _HEADER if key not in about]:
        raise ValueError(f"{str(path)!r} does not say {', '.join(missing)}; write `# {missing[0]}: ...` at its top.")
    entries = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    try:
        columns = {key: _column(key) for key in entries[0] if "/" in key}
        rows = {e["method"]: {m.key: float(e[key]) for key, (m, _) in columns.items()} for e in entries}
        printed = {e["method"]: float(e["delta"] or math.nan) for e in entries}
        sources = {e["method"]: e["source"] for e in entries}
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} is no table: {error}. Its columns are method, `task/metric [x100] higher|lower`, delta, "
            "source."
        ) from error
    if about["delta"] not in GAINS or about["baseline"] not in rows:
        raise ValueError(
            f"{str(path)!r}: delta {about['delta']!r} must be one of {', '.join(GAINS)}, and baseline "
            f"{about['baseline']!r} one of its rows."
        )
    title, delta, baseline, protocol = (about[key] for key in _HEADER)
    return PublishedTable(title, delta, baseline, protocol, dict(columns.values()), rows, printed, sources)


def beside_published(report: Report, table: PublishedTable) -> str:
    """The rows of a report among the published ones as Markdown, the best gain first.

    Args:
        report: our runs.
        table: the published table.

    Raises:
        ValueError: if our runs lack a metric of the table.
    """
    keys = [metric.key for metric in report.metrics]
    if lost := [metric.key for metric in table.factors if metric.key not in keys]:
        raise ValueError(
            f"the table {table.title!r} has {', '.join(lost)}, which these runs do not measure; they have "
            f"{', '.join(keys)}. Name tasks and heads as the table does."
        )
    lines: list[tuple[float, list[str]]] = []
    for name, values in table.rows.items():
        numbers = [f"{value:g}" for value in values.values()]
        printed = table.printed[name]
        lines.append((table.gain(values), [name, *numbers, "" if math.isnan(printed) else f"{printed:+.2f}"]))
    for row in report.ordered():
        own = {metric.key: [factor * v for v in row.values(metric.key)] for metric, factor in table.factors.items()}
        means = {key: statistics.fmean(values) for key, values in own.items()}
        gain = table.gain(means)
        numbers = [f"**{value:.4g}**" for value in means.values()]
        lines.append((gain, [f"**{row.name}, ours** ({len(row.results)} seeds)", *numbers, f"**{gain:+.2f}**"]))
    lower_is_better = table.delta == "delta_m_flat"
    lines.sort(key=lambda line: line[0] if lower_is_better else -line[0])
    head = ["method", *(m.key + (" %" if factor == 100 else "") for m, factor in table.factors.items()), "Delta"]
    body = [head, ["---", *["---:"] * (len(head) - 1)], *(cells for _, cells in lines)]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in body)
    sources = "; ".join(dict.fromkeys(table.sources.values()))
    return (
        f"{table.title}\n\n{text}\n\nDelta: {_WORDS[table.delta]}; published rows as printed, ours over the published "
        f"row {table.baseline}. Published protocol: {table.protocol}. Ours: mean over seeds of the test set, from "
        f"{report.origin()}; depth and median over all pixels of the set. Sources: {sources}."
    )


def _column(text: str) -> tuple[Metric, float]:
    key, *words = text.split(" ")
    task, name = key.split("/")
    if words[-1] not in ("higher", "lower"):
        raise ValueError(f"column {text!r} does not end with higher or lower")
    return Metric(task, name, words[-1] == "higher"), 100.0 if "x100" in words else 1.0
