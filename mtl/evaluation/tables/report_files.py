"""A report as files: `report.md`, `report.csv` with every number, and `report.tex` for a paper (booktabs)."""

import csv
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean, printable
from mtl.evaluation.tables.html_page import write_page_of_comparison
from mtl.evaluation.tables.report import EQUAL, GAINS, TUNED, Report, error_of

SIGNIFICANT = 0.05


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write all files and pictures.

    Args:
        report: what was found.
        folder: where to; made if it is missing.

    Returns:
        The files.
    """
    from mtl.evaluation.tables.report_pictures import draw_gains, draw_pareto

    folder.mkdir(parents=True, exist_ok=True)
    texts = {"report.md": markdown(report), "report.tex": latex(report)}
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    _write_csv(report, folder / "report.csv")
    pictures = [folder / "tasks.png"]
    draw_pareto(report, pictures[0])
    if report.baseline is not None:
        pictures.append(folder / "delta_m.png")
        draw_gains(report, pictures[1])
    page = write_page_of_comparison(folder, *_table(report), _legend(report))
    return [*(folder / name for name in texts), folder / "report.csv", page, *pictures]


def markdown(report: Report, metrics: Sequence[str] | None = None) -> str:
    """The table, single tasks, failures, and what the columns mean.

    Args:
        report: what was found.
        metrics: columns, as `boxes/map50`; by default what every task is judged by.

    Raises:
        ValueError: for a metric that the runs do not have.
    """
    head, rows = _table(report, metrics)
    table = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in table)
    parts = [text, _legend(report)]
    if report.failed:
        lines = [f"* {run}: {_as_markdown(error_of(why))}" for run, why in report.failed.items()]
        parts.append("Failed runs:\n" + "\n".join(lines))
    return "\n\n".join(parts)


def latex(report: Report) -> str:
    """A booktabs table.

    Args:
        report: what was found.
    """
    head, rows = _table(report)
    lines = [r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}", r"\toprule"]
    lines += [" & ".join(_escaped(cell) for cell in head) + r" \\", r"\midrule"]
    lines += [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _table(report: Report, metrics: Sequence[str] | None = None) -> tuple[list[str], list[list[str]]]:
    known = {metric.key: metric for metric in report.metrics}
    for key in metrics or ():
        if key not in known:
            raise ConfigError(
                f"not every run has a metric {key!r}.{did_you_mean(key, known)} There are {', '.join(known)}."
            )
    shown = [known[key] for key in metrics] if metrics else [metric for metric in report.metrics if metric.monitored]
    ranks, singles = report.ranks(), report.baseline is not None
    tests = {name: report.tests(name) for name in (EQUAL, TUNED)}
    head = ["method", "seeds", "score", *(metric.key for metric in shown), "mean rank"]
    head += ["Delta_m, %", "per task, %", "flat, % (lower)"] if singles else []
    head += [f"p against {name}" for name, found in tests.items() if found]
    head += ["ms/step", "MB"]
    rows = []
    for row in report.ordered():
        cells = [row.name, str(len(row.results)), cell(row.values("score"))]
        cells += [cell(row.values(metric.key)) for metric in shown]
        cells.append(f"{ranks[row.name]:.1f}")
        if singles:
            cells += [cell(report.gains(row, name), "{:+.1f}") for name in GAINS]
        cells += [_p(found.get(row.name)) for found in tests.values() if found]
        rows.append([*cells, *(_number(number, "{:.0f}") for number in row.cost())])
    for task, row in report.singles.items():
        alone = [cell(row.values(m.key)) if m.task == task else "" for m in shown]
        cells = [row.name, str(len(row.results)), "", *alone]
        cost = [_number(number, "{:.0f}") for number in row.cost()]
        rows.append([*cells, *[""] * (len(head) - len(cells) - 2), *cost])
    return head, rows


def _legend(report: Report) -> str:
    seeds = {len(row.results) for row in report.joint}
    text = (
        f"Mean ± standard deviation over seeds of the test set, from {report.origin()}. "
        "score: mean of the tasks' metrics, an error e as 1 / (1 + e). mean rank: over all metrics, among these rows. "
    )
    if report.baseline is not None:
        text += (
            "Delta_m: mean relative gain over single tasks of one metric for each task; per task: of all metrics, "
            "first averaged within a task; flat: mean loss over all metrics alike, lower is better. Their ± covers "
            "the joint runs; the bootstrap intervals in report.csv and delta_m.png hold the single runs' spread too. "
        )
    if zero := report.without_gain():
        what = "No Delta_m" if report.baseline is None else "Not in the gains"
        text += f"{what}: alone, the task has {', '.join(zero)} = 0, over which there is no relative gain. "
    text += "p: paired t-test of the score over seeds, corrected after Holm for the number of rows. "
    text += "MB: most memory of the GPU, or of the whole process without one."
    if min(seeds) < 3:
        text += " Fewer than 3 seeds: no interval, and tests say little."
    return text


def cell(values: Sequence[float], form: str = "{:.3f}") -> str:
    """Mean and standard deviation; empty without values.

    Args:
        values: one for each seed.
        form: of a number.
    """
    if not values:
        return ""
    spread = " ± " + form.format(statistics.stdev(values)).lstrip("+") if len(values) > 1 else ""
    return form.format(statistics.fmean(values)) + spread


def _write_csv(report: Report, path: Path) -> None:
    ranks, tests = report.ranks(), {name: report.tests(name) for name in (EQUAL, TUNED)}
    keys = ["score", *(metric.key for metric in report.metrics)]
    gains = list(GAINS) if report.baseline is not None else []
    head = ["row", "seeds"] + [f"{key} {what}" for key in keys for what in ("mean", "std")]
    head += [f"{name} {what}" for name in gains for what in ("mean", "std", "low", "high")]
    head += ["mean_rank", *(f"p against {name}" for name in tests), "ms_per_step", "peak_memory_mb"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for row in [*report.ordered(), *report.singles.values()]:
            numbers = [number for key in keys for number in _mean_std(row.values(key))]
            joint = row.name in ranks
            for name in gains:
                values, between = (report.gains(row, name), report.gain_interval(row, name)) if joint else ([], None)
                numbers += [*_mean_std(values), *(between or (math.nan, math.nan))]
            numbers += [ranks.get(row.name, math.nan), *(found.get(row.name, math.nan) for found in tests.values())]
            writer.writerow([row.name, len(row.results), *(_plain(number) for number in [*numbers, *row.cost()])])


def _mean_std(values: Sequence[float]) -> tuple[float, float]:
    mean = statistics.fmean(values) if values else math.nan
    return mean, statistics.stdev(values) if len(values) > 1 else math.nan


def _plain(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.6g}"


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else form.format(value)


def _p(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:.2f}" + ("*" if value < SIGNIFICANT else "")


def _as_markdown(text: str) -> str:
    """The end of a log in a table that is pasted into a README: no control codes, no HTML, no links."""
    return re.sub(r"([<>|`\[\]])", r"\\\1", printable(text))


def _escaped(text: str) -> str:
    """Text for LaTeX; names come from folders and files, which may hold anything."""
    special = {letter: f"\\{letter}" for letter in "{}$&#%_"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    return "".join(special.get(letter, letter) for letter in text)
