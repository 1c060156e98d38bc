"""Pictures of an evaluation: confusion matrices, precision and F1 over the score, average precision by size.

Shapes: C classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtl.drawing.figure_file import save_figure
from mtl.drawing.sample import class_colour
from mtl.errors import printable
from mtl.metrics.detection_matching import Curve

_MOST_CLASSES = 40  # in one matrix: more cannot be read
_MOST_LINES = 10
_MOST_INSIDE = 4  # names inside the panel of a picture of this height
_MOST_NUMBERS = 16


def draw_confusion(counts: Tensor, names: Sequence[str], title: str, path: Path) -> bool:
    """A confusion matrix: a row for each true class, coloured by its share of the row.

    Args:
        counts: [C,C], rows are true.
        names: of the rows and columns.
        title: above it.
        path: the file to write.

    Returns:
        Whether it was written; not for more than 40 classes of which more than 40 occur.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seen = (
        [i for i in range(len(names)) if counts[i].sum() or counts[:, i].sum()] if len(names) > _MOST_CLASSES else None
    )
    if seen is not None:
        counts, names = counts[seen][:, seen], [names[i] for i in seen]
    if len(names) > _MOST_CLASSES or not len(names):
        return False
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    side = 1.6 + 0.42 * len(names)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    labels = [printable(name, 24) for name in names]
    axis.set_xticks(range(len(names)), labels, rotation=90, fontsize=8, parse_math=False)
    axis.set_yticks(range(len(names)), labels, fontsize=8, parse_math=False)
    axis.set(xlabel="predicted", ylabel="true")
    axis.set_title(title, fontsize=9, parse_math=False)
    if len(names) <= _MOST_NUMBERS:
        for row in range(len(names)):
            for column in range(len(names)):
                if number := int(counts[row, column]):
                    colour = "white" if shares[row, column] > 0.5 else "0.2"
                    axis.text(column, row, f"{number:,}", ha="center", va="center", fontsize=7, color=colour)
    return save_figure(figure, path)


def draw_detection_curves(
    curves: Mapping[str, Curve], by_size: Mapping[str, float | None], title: str, path: Path
) -> bool:
    """Precision over recall, F1 over the score with its best score marked, and average precision by size of object.

    Args:
        curves: of every class that has a true box, by name.
        by_size: mean average precision of small, medium and large objects; None without such objects.
        title: above it.
        path: the file to write.

    Returns:
        Whether it was written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    precision, f1, sizes = figure.subplots(1, 3, width_ratios=(1, 1, 0.6))
    shown = dict(sorted(curves.items(), key=lambda item: -item[1].average_precision)[:_MOST_LINES])
    for index, (name, curve) in enumerate(curves.items()):
        if name not in shown:
            continue
        text, colour = f"{printable(name, 24)} {curve.average_precision:.2f}", class_colour(index)
        precision.plot(curve.recall, curve.precision, color=colour, linewidth=1.2, label=text)
        f1.plot(curve.scores, curve.f1, color=colour, linewidth=1.2)
    grid = torch.linspace(0, 1, 201)
    mean = torch.stack([_at(curve, grid) for curve in curves.values()]).mean(0)
    best = int(mean.argmax())
    f1.plot(grid, mean, color="black", linewidth=1.6)
    f1.plot(grid[best], mean[best], "o", color="black", markersize=4)
    f1.set_title(f"mean F1 is best at score {float(grid[best]):.2f}: {float(mean[best]):.2f}", fontsize=9)
    precision.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    f1.set(xlabel="score", ylabel="F1", xlim=(0, 1.02), ylim=(0, 1.02))
    many = len(shown) > _MOST_INSIDE  # a long list would lie over the curves
    beside: dict[str, Any] = {"loc": "upper right", "bbox_to_anchor": (-0.2, 1.0)} if many else {"loc": "lower left"}
    legend = precision.legend(fontsize=7, title="AP at IoU 0.5", title_fontsize=7, **beside)
    for label in legend.get_texts():
        label.set_parse_math(False)
    known = {size: value for size, value in by_size.items() if value is not None}
    sizes.bar(list(known), list(known.values()), color="#4c78a8")
    for place, value in enumerate(known.values()):
        sizes.text(place, value, f"{value:.2f}", ha="center", va="bottom", fontsize=8)
    sizes.set(ylim=(0, 1.05), ylabel="AP at IoU 0.5")
    sizes.set_title("by size of object", fontsize=9)
    figure.suptitle(title, fontsize=9, parse_math=False)
    return save_figure(figure, path)


def _at(curve: Curve, grid: Tensor) -> Tensor:
    """F1 when detections of at least each score count."""
    if not len(curve.scores):
        return torch.zeros(len(grid))
    counts = (curve.scores[None] >= grid[:, None]).sum(1)
    return torch.where(counts > 0, curve.f1[(counts - 1).clamp(min=0)], 0.0)
