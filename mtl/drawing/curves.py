"""Losses, metrics, learning rates, task weights and gradient norms of a run as one PNG."""

import math
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.drawing.figure_file import save_figure
from mtl.drawing.sample import class_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = dict[str, tuple[list[int], list[float]]]


@dataclass(frozen=True)
class Panel:
    """One panel of curves: every log key that starts with `start`.

    Attributes:
        title: above the panel.
        start: of the log keys that it shows; the rest of a key is the label.
        log: logarithmic where all values are above 0.
        smooth: show the moving mean of long curves.
    """

    title: str
    start: str
    log: bool = False
    smooth: bool = False


_PANELS = (
    Panel("training loss", "train/loss/", log=True, smooth=True),
    Panel("validation loss", "val/loss/", log=True),
    Panel("task weights", "weights/"),
    Panel("gradient norms", "grad_norm/", log=True, smooth=True),
    Panel("learning rate", "lr/"),
)
_MOST_PANELS, _MOST_LINES, _MOST_POINTS = 60, 40, 4_000  # of a picture, a panel and a line
_SHARED = {"trunk": "0.35", "backbone": "0.35", "model": "0.35"}  # what belongs to no task is grey


def draw_curves(series: Series, path: Path) -> bool:
    """Every group of numbers that the run has, one panel each.

    Args:
        series: steps and values by log key, as `read_series` gives them.
        path: the file to write.

    Returns:
        Whether there was anything to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(panel, lines) for panel in _panels(series) if (lines := lines_of(series, panel.start))][:_MOST_PANELS]
    if not panels:
        return False
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    tasks = [label for panel, lines in panels if panel.start.endswith("loss/") for label in lines]
    colours = {task: class_colour(index) for index, task in enumerate(dict.fromkeys(tasks))} | _SHARED
    for axis, (panel, lines) in zip(axes.flat, panels, strict=False):
        draw_panel(axis, panel, lines, colours)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    return save_figure(figure, path)


def smoothed(values: list[float], share: float = 0.05) -> list[float]:
    """Centred moving mean of finite values; the window shrinks at both ends, so nothing is shifted.

    Args:
        values: the values in order.
        share: window as a share of all values.
    """
    half = max(1, int(len(values) * share / 2))
    finite = [math.isfinite(value) for value in values]
    sums = [0.0, *accumulate(value if known else 0.0 for value, known in zip(values, finite, strict=True))]
    counts, means = [0, *accumulate(finite)], []
    for index in range(len(values)):
        reach = min(half, index, len(values) - 1 - index)
        start, end = index - reach, index + reach + 1
        number = counts[end] - counts[start]
        means.append((sums[end] - sums[start]) / number if number else math.nan)
    return means


def _panels(series: Series) -> list[Panel]:
    """The score and one panel for the metrics of each task first, then the losses and what steers them."""
    tasks = dict.fromkeys(key.split("/")[1] for key in series if key.startswith("val/") and key.count("/") == 2)
    metrics = [Panel(f"{task}: validation metrics", f"val/{task}/") for task in tasks if task != "loss"]
    return [*_PANELS[:2], Panel("joint validation score", "val/score"), *metrics, *_PANELS[2:]]


def lines_of(series: Series, start: str) -> Series:
    """The lines of one panel, by what follows the start of their log key.

    Args:
        series: steps and values by log key.
        start: of the log keys.
    """
    # a metric of a single class is found in results.json
    found = {
        key.removeprefix(start): values
        for key, values in series.items()
        if key.startswith(start) and "/" not in key.removeprefix(start)
    }
    return dict(list(found.items())[:_MOST_LINES])


def draw_panel(axis: "Axes", panel: Panel, lines: Series, colours: dict[str, str]) -> None:
    """Draw the lines of one panel.

    Args:
        axis: where to draw.
        panel: its title and how it is drawn.
        lines: steps and values by label, as `lines_of` gives them.
        colours: of labels that have one in every panel.
    """
    for index, (label, (steps, values)) in enumerate(lines.items()):
        # a task has one colour in every panel
        colour = colours.get(label, class_colour(index))
        label = label.replace("$", r"\$")  # no mathematics
        if panel.smooth and len(values) >= 20:
            axis.plot(*_thinned(steps, values), color=colour, alpha=0.25, linewidth=0.8)
            axis.plot(*_thinned(steps, smoothed(values)), color=colour, linewidth=1.6, label=label)
        else:
            marker = "o" if len(values) < 20 else None
            shown = _thinned(steps, values)
            axis.plot(*shown, color=colour, linewidth=1.6, marker=marker, markersize=3, label=label)
    if panel.log and all(value > 0 for _, values in lines.values() for value in values):
        axis.set_yscale("log")
    axis.set_title(panel.title.replace("$", r"\$"), fontsize=10)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(True, which="major", color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    if any(lines):
        axis.legend(fontsize=7, frameon=False)


def _thinned(steps: list[int], values: list[float]) -> tuple[list[int], list[float]]:
    """No more points than a picture shows; the last one stays."""
    every = -(-len(steps) // _MOST_POINTS) or 1
    return steps[::-1][::every][::-1], values[::-1][::every][::-1]
