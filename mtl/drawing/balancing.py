"""How the tasks of a run that balances have weighed and how their gradients lay to each other, as one PNG.

Shapes: K tasks.
"""

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from mtl.drawing.curves import Panel, Series, draw_panel, lines_of
from mtl.drawing.figure_file import save_figure
from mtl.drawing.sample import class_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS = (
    Panel("training loss", "train/loss/", log=True, smooth=True),
    Panel("task weights", "weights/", smooth=True),
    Panel("gradient norms", "balance/norm/", log=True, smooth=True),
    Panel("cosine of pairs", "balance/cosine/", smooth=True),
    Panel("magnitude similarity of pairs", "balance/magnitude/", smooth=True),
    Panel("share of pairs in conflict", "balance/conflict_rate", smooth=True),
)


def draw_balancing(series: Series, cosines_KK: Tensor, names: list[str], path: Path) -> None:
    """Curves of losses, weights, norms, cosines and conflicts, and the matrix of mean cosines.

    Args:
        series: steps and values by log key.
        cosines_KK: mean cosines of a run; NaN where a pair never met.
        names: of the tasks.
        path: the file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(panel, lines) for panel in _PANELS if (lines := lines_of(series, panel.start))]
    columns = 4 if len(panels) > 5 else 3
    rows = -(-(len(panels) + 1) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.1 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    colours = {name: class_colour(index) for index, name in enumerate(names)}
    for axis, (panel, lines) in zip(axes, panels, strict=False):
        draw_panel(axis, panel, lines, colours)
    _draw_matrix(axes[len(panels)], cosines_KK, names)
    for axis in axes[len(panels) + 1 :]:
        axis.axis("off")
    save_figure(figure, path)


def _draw_matrix(axis: "Axes", cosines_KK: Tensor, names: list[str]) -> None:
    axis.imshow(cosines_KK.numpy(), vmin=-1, vmax=1, cmap="RdBu")
    axis.set_title("mean cosine of the gradients", fontsize=10)
    axis.set_xticks(range(len(names)), names, fontsize=7, rotation=30, ha="right")
    axis.set_yticks(range(len(names)), names, fontsize=7)
    if len(names) <= 12:
        for (row, column), value in (
            (index, float(cosines_KK[index])) for index in product(range(len(names)), repeat=2)
        ):
            colour = "white" if abs(value) > 0.6 else "black"
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
