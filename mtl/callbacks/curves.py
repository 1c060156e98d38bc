"""`Curves`: losses, metrics, learning rates, task weights and gradient norms of a run as one PNG."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.callbacks.metrics_csv import MetricsCSV, read_series
from mtl.callbacks.picture import class_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = dict[str, tuple[list[int], list[float]]]


class Curves(Callback):
    """Draws `curves.png` from `metrics.csv` when training ends, also when it is interrupted.

    Args:
        path: the file to write.
        metrics: the numbers, a `metrics.csv`.
    """

    def __init__(self, path: Path, metrics: Path) -> None:
        self.path = Path(path)
        self.metrics = Path(metrics)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if trainer.state.fn == "fit":
            self._draw(trainer)

    def _draw(self, trainer: Trainer) -> None:
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV):
                logger.flush()
        if self.metrics.is_file():
            draw_curves(read_series(self.metrics), self.path)


@dataclass(frozen=True)
class _Panel:
    title: str
    chosen: Callable[[str], bool]
    label: Callable[[str], str]
    log: bool = False
    smooth: bool = False


# a metric of one class is found in results.json; the curves show those of a whole task
_PANELS = (
    _Panel("training loss", lambda key: key.startswith("train/loss/"), lambda key: key[11:], log=True, smooth=True),
    _Panel("validation loss", lambda key: key.startswith("val/loss/"), lambda key: key[9:], log=True),
    _Panel(
        "validation metrics",
        lambda key: key.startswith("val/") and not key.startswith("val/loss") and key.count("/") < 3,
        lambda key: key[4:],
    ),
    _Panel("learning rate", lambda key: key.startswith("lr/"), lambda key: key[3:]),
    _Panel("task weights", lambda key: key.startswith("weights/"), lambda key: key[8:]),
    _Panel("gradient norms", lambda key: key.startswith("grad_norm/"), lambda key: key[10:], log=True, smooth=True),
)


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

    panels = [(panel, [key for key in series if panel.chosen(key)]) for panel in _PANELS]
    panels = [(panel, keys) for panel, keys in panels if keys]
    if not panels:
        return False
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, (panel, keys) in zip(axes.flat, panels, strict=False):
        _draw(axis, panel, {key: series[key] for key in keys})
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return True


def smoothed(values: list[float], share: float = 0.05) -> list[float]:
    """Centred moving mean; the window shrinks at both ends, so nothing is shifted.

    Args:
        values: the values in order.
        share: window as a share of all values.
    """
    half = max(1, int(len(values) * share / 2))
    means = []
    for index in range(len(values)):
        reach = min(half, index, len(values) - 1 - index)
        window = values[index - reach : index + reach + 1]
        means.append(sum(window) / len(window))
    return means


def _draw(axis: "Axes", panel: _Panel, series: Series) -> None:
    # lines drawn alike wherever a task appears
    for index, (key, (steps, values)) in enumerate(series.items()):
        colour, label = class_colour(index), panel.label(key)
        if panel.smooth and len(values) >= 20:
            axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axis.plot(steps, smoothed(values), color=colour, linewidth=1.6, label=label)
        else:
            marker = "o" if len(values) < 20 else None
            axis.plot(steps, values, color=colour, linewidth=1.6, marker=marker, markersize=3, label=label)
    if panel.log and all(value > 0 for _, values in series.values() for value in values):
        axis.set_yscale("log")
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(True, which="major", color="0.9")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False)
