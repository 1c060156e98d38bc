"""Pictures of a report: the tasks against each other with the Pareto front, and gains over single tasks."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from mtl.drawing.figure_file import write_figure
from mtl.evaluation.tables.delta_m import Metric
from mtl.evaluation.tables.hypervolume import non_dominated
from mtl.evaluation.tables.report import Report, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MOST_PANELS = 6  # pairs of tasks that are drawn
WORST_SHOWN = 0.65  # share of the rows, the best ones, that the axes are made for, beside the front and single tasks
LEAST_GAIN = -100.0  # percent; longer bars end there with a number
Points = dict[str, tuple[float, float]]  # of every row


def draw_pareto(report: Report, path: Path) -> None:
    """One panel for each pair of tasks: every method, up and right is better, and the front that none dominates.

    Rows are numbered by their score. Crosses are standard deviations over seeds; dotted lines are single tasks.

    Args:
        report: what was found.
        path: the file to write.
    """
    monitored = [metric for metric in report.metrics if metric.monitored]
    pairs = list(combinations(monitored, 2))[:MOST_PANELS] or [(monitored[0], monitored[0])]
    columns = min(3, len(pairs))
    lines = -(-len(pairs) // columns)
    rows = report.ordered()
    figure = _figure(5.2 * columns + 1.6, 4.2 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).flat
    for panel, pair in zip(panels, pairs, strict=False):
        _draw_panel(panel, rows, *pair, alone=[(report.baseline or {}).get(metric.key) for metric in pair])
    for panel in panels:  # what is left of the last line
        panel.set_axis_off()
    names = [f"{number} {row.name}" for number, row in enumerate(rows, 1)] + ["... a task alone"]
    text = "\n".join(names)
    size = min(8.0, 72 * 4.2 * lines / (1.45 * len(names)))
    figure.legend([_nothing()], [text], loc="outside right upper", fontsize=size, handlelength=0, handletextpad=0)
    write_figure(figure, path)


def draw_gains(report: Report, path: Path) -> None:
    """Bars of Delta_m with bootstrap intervals over the seeds of joint and single runs, the best on top.

    Args:
        report: what was found, with single tasks.
        path: the file to write.
    """
    rows = {row.name: row for row in report.joint}
    gains = {name: report.gains(row, "delta_m") for name, row in rows.items()}
    order = sorted(gains, key=lambda name: _of(gains[name]))
    figure = _figure(7, 1.2 + 0.24 * len(order))
    axis = figure.subplots()
    for place, name in enumerate(order):
        mean, found = _of(gains[name]), report.gain_interval(rows[name], "delta_m")
        axis.barh(place, max(mean, LEAST_GAIN), color="tab:blue" if mean >= 0 else "tab:red", alpha=0.75)
        if mean < LEAST_GAIN:
            axis.text(LEAST_GAIN, place, f"{mean:.0f}", fontsize=7, va="center", ha="left", color="white")
            continue
        if found is not None:
            axis.plot(found, (place, place), color="black", linewidth=1.2)
    axis.set_yticks(range(len(order)), order, fontsize=8)
    axis.set_ylim(-0.7, len(order) - 0.3)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel("Delta_m: mean relative gain over single tasks, %")
    write_figure(figure, path)


def pareto_front(points: Points, signs: tuple[int, int]) -> list[str]:
    """The rows that no other row beats in both tasks, from left to right.

    Args:
        points: of every row.
        signs: 1 where more is better, -1 where less is.
    """
    losses = {name: (-signs[0] * x, -signs[1] * y) for name, (x, y) in points.items()}
    front = non_dominated(list(losses.values()))
    return sorted((name for name, own in losses.items() if own in front), key=lambda name: points[name])


def _draw_panel(
    axis: "Axes", rows: Sequence[Row], first: Metric, second: Metric, alone: Sequence[float | None]
) -> None:
    seeds = {row.name: (row.values(first.key), row.values(second.key)) for row in rows}
    # a network of one task has no place here where all joint runs failed
    points = {name: (_of(x), _of(y)) for name, (x, y) in seeds.items() if x and y}
    if not points:
        axis.set_axis_off()
        return
    numbers = {row.name: number for number, row in enumerate(rows, 1)}
    signs = (1 if first.higher_is_better else -1, 1 if second.higher_is_better else -1)
    front = pareto_front(points, signs)
    axis.plot(*zip(*(points[name] for name in front), strict=True), color="tab:orange", linewidth=1)
    for name, point in points.items():
        color = "tab:orange" if name in front else "tab:blue"
        x_std, y_std = (stdev(values) if len(values) > 1 else 0.0 for values in seeds[name])
        axis.errorbar(*point, y_std, x_std, color=color, marker="o", markersize=4, alpha=0.35, linewidth=0.7)
        weight = "bold" if name in front else "normal"
        axis.annotate(
            str(numbers[name]),
            point,
            fontsize=7,
            weight=weight,
            xytext=(2, 2),
            textcoords="offset points",
            clip_on=True,
        )
    ranges = []
    for place, metric in enumerate((first, second)):
        needed = [*(points[name][place] for name in front), *(base for base in [alone[place]] if base is not None)]
        ranges.append(_limits([point[place] for point in points.values()], needed, metric.higher_is_better))
    (left, right), (bottom, top) = ranges
    axis.set(xlim=ranges[0], ylim=ranges[1])
    for base, line in zip(alone, (axis.axvline, axis.axhline), strict=True):
        if base is not None:
            line(base, color="0.6", linestyle=":", linewidth=1)
    inside = [(x - left) * (x - right) <= 0 >= (y - bottom) * (y - top) for x, y in points.values()]
    if outside := [str(number) for number, seen in enumerate(inside, 1) if not seen]:
        axis.set_title(f"farther out: {' '.join(outside)}", fontsize=7, loc="left")
    axis.set_xlabel(first.key)
    axis.set_ylabel(second.key)


def _limits(values: Sequence[float], needed: Sequence[float], higher_is_better: bool) -> tuple[float, float]:
    """From the worst value worth looking at to beyond the best; a good value is always up or right."""
    best_first = sorted(values, reverse=higher_is_better)
    shown = [*best_first[: int(WORST_SHOWN * len(values)) + 1], *needed]
    worst, best = (min(shown), max(shown)) if higher_is_better else (max(shown), min(shown))
    margin = 0.08 * (best - worst) or 0.05
    return worst - margin, best + margin


def _nothing() -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none")


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _of(values: Sequence[float]) -> float:
    return fmean(values)
