"""The loss over a learning rate that grows from step to step."""

import math
from collections.abc import Sequence
from pathlib import Path

from mtl.drawing.figure_file import save_figure
from mtl.drawing.sample import class_colour


def draw_rate_range(
    rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], best: float | None, path: Path
) -> bool:
    """Draw the losses, their running mean, and the rate that was chosen.

    Args:
        rates: learning rates.
        losses: loss at each.
        smooth: running means of the losses.
        best: the rate that is marked; None for no mark.
        path: the file.

    Returns:
        Whether it was written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.plot(rates, losses, color="0.75", linewidth=0.8, label="loss of a batch")
    axis.plot(rates, smooth, color=class_colour(0), linewidth=1.8, label="running mean")
    if best is not None:
        axis.axvline(best, color=class_colour(1), linestyle="--", linewidth=1.2, label=f"falls fastest at {best:.2g}")
    finite = [loss for loss in smooth if math.isfinite(loss)]
    if finite:  # what diverged would flatten the rest
        low, first = min(finite), finite[0]
        room = max(first - low, abs(first) * 0.05, 1e-6)
        axis.set_ylim(low - 0.3 * room, first + 0.7 * room)
    axis.set_xscale("log")
    axis.set_xlabel("learning rate", fontsize=9)
    axis.set_ylabel("train/loss", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(True, color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return save_figure(figure, path)
