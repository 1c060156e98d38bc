"""Curves of one metric for several runs; runs of one group, such as the seeds of a method, are a mean and a band."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from mtl.drawing.figure_file import save_figure
from mtl.drawing.sample import class_colour

Curve = tuple[Sequence[int], Sequence[float]]
FORMATS = (".png", ".pdf", ".svg")


def draw_run_curves(
    groups: Mapping[str, Sequence[Curve]], metric: str, path: Path, x: str = "optimiser step", log_x: bool = False
) -> bool:
    """One line for each group: its mean, with a band of one standard deviation on each side.

    Args:
        groups: steps and values of each run, by the name of its group.
        metric: what is drawn, for the axis.
        path: the file; its suffix chooses PNG, PDF or SVG.
        x: what the steps of the curves are, for the axis.
        log_x: whether that axis is logarithmic; its ticks are then the steps of the curves.

    Returns:
        Whether it was written.

    Raises:
        ValueError: for another suffix, or nothing to draw.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{str(path)!r} must end with one of {', '.join(FORMATS)}.")
    if not groups:
        raise ValueError("there is no curve to draw; give at least one run.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for index, (name, curves) in enumerate(groups.items()):
        steps, means, spreads = mean_and_spread(curves)
        colour = class_colour(index)
        label = name + (f" ({len(curves)} runs)" if len(curves) > 1 else "")
        marker = "o" if len(steps) < 20 else None
        axis.plot(
            steps, means, color=colour, linewidth=1.6, marker=marker, markersize=3, label=label.replace("$", r"\$")
        )
        if len(curves) > 1:
            low, high = ([m + sign * s for m, s in zip(means, spreads, strict=True)] for sign in (-1, 1))
            axis.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.set_xlabel(x, fontsize=9)
    if log_x:
        axis.set_xscale("log")
        places = sorted({step for runs in groups.values() for steps, _ in runs for step in steps})
        axis.set_xticks(places, [f"{place:g}" for place in places])
        axis.set_xticks([], minor=True)
    axis.set_ylabel(metric.replace("$", r"\$"), fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(True, color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return save_figure(figure, path)


def mean_and_spread(curves: Sequence[Curve]) -> tuple[list[int], list[float], list[float]]:
    """Mean and standard deviation over runs at the steps that all of them have; 0 where there is one run.

    Args:
        curves: steps and values of each run.

    Raises:
        ValueError: if the runs share no step.
    """
    points = [dict(zip(steps, values, strict=True)) for steps, values in curves]
    shared = sorted(set.intersection(*(set(run) for run in points)))
    if not shared:
        raise ValueError("these runs share no step, so they have no mean; draw them one by one with --each.")
    columns = [[run[step] for run in points] for step in shared]
    spreads = [statistics.stdev(column) if len(column) > 1 else 0.0 for column in columns]
    return shared, [statistics.fmean(column) for column in columns], spreads
