"""The picture of a comparison on devices: test metrics against time and bytes, and the rows that none beats."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.drawing.figure_file import panels, write_figure
from mtl.evaluation.tables.delta_m import Metric
from mtl.evaluation.tables.devices import OnDevice, on_the_front, price

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COSTS = {"1": "CPU ms of a call, batch 1", "bytes": "kB of the ONNX file"}
_MARKERS = "osD^vP*X"


def draw_devices(found: Sequence[OnDevice], metrics: Sequence[Metric], path: Path) -> None:
    """A line of panels for each metric; up (or down, where less is better) and left is better.

    Args:
        found: the rows.
        metrics: what they are judged by.
        path: the file to write.
    """
    figure, axes = panels(2 * len(metrics), 2, 4.8, 3.4, above=0.3 * -(-len(found) // 3) + 0.2)
    places = iter(axes)
    for metric in metrics:
        for cost, label in _COSTS.items():
            _draw(next(places), found, metric, cost, label)
    handles = {str(handle.get_label()): handle for axis in axes for handle in axis.get_legend_handles_labels()[0]}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    write_figure(figure, path)


def _draw(axis: "Axes", found: Sequence[OnDevice], metric: Metric, cost: str, label: str) -> None:
    from matplotlib.ticker import LogLocator

    shown = [(place, one) for place, one in enumerate(found) if metric.key in one.values]
    points = {one.name: (price(one, cost), one.values[metric.key]) for _, one in shown}
    front = on_the_front(found, metric, cost)
    axis.plot(*zip(*(points[name] for name in front), strict=True), color="0.6", linewidth=1, zorder=1)
    for place, one in shown:
        style = {"marker": _MARKERS[place // 10 % len(_MARKERS)], "color": f"C{place % 10}"}
        axis.scatter(
            *points[one.name], s=44 if one.name in front else 26, label=one.name, zorder=2,
            edgecolors="black" if one.name in front else "none", linewidths=0.9, **style,  # type: ignore[arg-type]
        )  # fmt: skip
    axis.set_xscale("log")
    axis.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
    for ticks in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        ticks(lambda value, _: f"{value / 1000:g}" if cost == "bytes" else f"{value:g}")
    axis.set_xlabel(label, fontsize=8)
    axis.set_ylabel(metric.key + ("" if metric.higher_is_better else " (less is better)"), fontsize=8)
    axis.tick_params(labelsize=7, which="both")
    axis.grid(color="0.93", linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
