"""Pictures of a report: the tasks against each other with the Pareto front, and gains over single tasks."""

import statistics
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.evaluation.delta_m import Metric
from mtl.evaluation.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 6  # pairs of tasks that are drawn
WORST_SHOWN = 0.65  # share of the rows, the best ones, that the axes are made for; the others may lie outside
LEAST_GAIN = -100.0  # percent; longer bars end there with a number
Points = dict[str, tuple[float, float]]  # of every row


def draw_pareto(report: Report, path: Path) -> None:
    """One panel for each pair of tasks: every method, up and right is better, and the front that none dominates.

    Args:
        report: what was found.
        path: the file to write.
    """
    monitored = [metric for metric in report.metrics if metric.monitored]
    pairs = list(combinations(monitored, 2))[:MOST_PANELS] or [(monitored[0], monitored[0])]
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = _figure(5.2 * columns, 4.2 * rows)
    for axis, (first, second) in zip(figure.subplots(rows, columns, squeeze=False).flat, pairs, strict=False):
        points = {row.name: (_of(row.values(first.key)), _of(row.values(second.key))) for row in report.joint}
        _draw_panel(axis, points, first, second)
        for metric, line in ((first, axis.axvline), (second, axis.axhline)):
            if report.baseline is not None:
                line(report.baseline[metric.key], color="0.6", linestyle=":", linewidth=1)
    figure.savefig(path, dpi=130)


def draw_gains(report: Report, path: Path) -> None:
    """Bars of Delta_m with bootstrap intervals over seeds, the best on top.

    Args:
        report: what was found, with single tasks.
        path: the file to write.
    """
    gains = {row.name: report.gains(row, "delta_m") for row in report.joint}
    order = sorted(gains, key=lambda name: _of(gains[name]))
    figure = _figure(7, 1.2 + 0.24 * len(order))
    axis = figure.subplots()
    for place, name in enumerate(order):
        mean, found = _of(gains[name]), report.interval(gains[name])
        axis.barh(place, max(mean, LEAST_GAIN), color="tab:blue" if mean >= 0 else "tab:red", alpha=0.75)
        if mean < LEAST_GAIN:
            axis.text(LEAST_GAIN, place, f"{mean:.0f}", fontsize=7, va="center", ha="left", color="white")
            continue
        if found is not None:
            axis.plot(found, (place, place), color="black", linewidth=1.2)
    axis.set_yticks(range(len(order)), order, fontsize=8)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("Delta_m: mean relative gain over single tasks, %")
    figure.savefig(path, dpi=130)


def pareto_front(points: Points, signs: tuple[int, int]) -> list[str]:
    """The rows that no other row beats in both tasks, from left to right.

    Args:
        points: of every row.
        signs: 1 where more is better, -1 where less is.
    """
    scored = {name: (signs[0] * x, signs[1] * y) for name, (x, y) in points.items()}
    front = [
        name
        for name, own in scored.items()
        if not any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in scored.values())
    ]
    return sorted(front, key=lambda name: points[name])


def _draw_panel(axis: "Axes", points: Points, first: Metric, second: Metric) -> None:
    signs = (1 if first.higher_is_better else -1, 1 if second.higher_is_better else -1)
    front = pareto_front(points, signs)
    x, y = zip(*points.values(), strict=True)
    axis.scatter(x, y, s=14, color="tab:blue", alpha=0.6)
    x, y = zip(*(points[name] for name in front), strict=True)
    axis.plot(x, y, color="tab:orange", marker="o", markersize=5)
    for name in front:
        axis.annotate(name, points[name], fontsize=7, rotation=25, xytext=(3, 3), textcoords="offset points")
    axis.set_xlabel(first.key)
    axis.set_ylabel(second.key)
    axis.set_xlim(_limits([x for x, _ in points.values()], first.higher_is_better))
    axis.set_ylim(_limits([y for _, y in points.values()], second.higher_is_better))


def _limits(values: Sequence[float], higher_is_better: bool) -> tuple[float, float]:
    """From the worst value worth looking at to beyond the best; a good value is always up or right."""
    best_first = sorted(values, reverse=higher_is_better)
    best, worst = best_first[0], best_first[min(len(values) - 1, int(WORST_SHOWN * len(values)))]
    margin = 0.12 * (best - worst) or 0.05
    return worst - margin, best + 2 * margin


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _of(values: Sequence[float]) -> float:
    return statistics.fmean(values)
