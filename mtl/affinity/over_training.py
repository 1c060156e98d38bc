"""Affinity at several steps of a run: `over_training.csv` and curves of every pair with the spread over batches.

Shapes: K tasks.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from mtl.affinity.tables import Affinity
from mtl.drawing.figure_file import write_figure
from mtl.drawing.sample import class_colour

_LEGEND = 12  # most lines that a legend names


def write_over_training(found: Mapping[int, Mapping[str, Affinity]], folder: Path) -> list[Path]:
    """Write `over_training.csv` and `over_training.png`.

    Args:
        found: what every measure found, by step of the run.
        folder: where to; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "over_training.csv", folder / "over_training.png"]
    with files[0].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "measure", "from", "to", "mean", "std"])
        for step in sorted(found):
            for measure, affinity in found[step].items():
                for i, j in _pairs(affinity):
                    pair = (float(affinity.mean_KK[i, j]), float(affinity.spread_KK[i, j]))
                    names = (affinity.names[i], affinity.names[j])
                    writer.writerow([step, measure, *names, *(f"{value:.6g}" for value in pair)])
    _draw(found, files[1])
    return files


def _pairs(affinity: Affinity) -> Iterator[tuple[int, int]]:
    """Both directions, or one where they are the same."""
    same = bool(affinity.mean_KK.nan_to_num().allclose(affinity.mean_KK.T.nan_to_num()))
    number = len(affinity.names)
    yield from ((i, j) for i in range(number) for j in range(number) if (i < j if same else i != j))


def _draw(found: Mapping[int, Mapping[str, Affinity]], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = sorted(found)
    measures = list(found[steps[0]])
    figure = Figure(figsize=(5.4 * min(2, len(measures)), 3.2 * -(-len(measures) // 2)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(-(-len(measures) // 2), min(2, len(measures)), squeeze=False).flat)
    for axis, measure in zip(axes, measures, strict=False):
        last = found[steps[-1]][measure]
        pairs = list(_pairs(last))
        for i, j in pairs:
            mean = [float(found[step][measure].mean_KK[i, j]) for step in steps]
            spread = [float(found[step][measure].spread_KK[i, j]) for step in steps]
            low, high = ([m + sign * s for m, s in zip(mean, spread, strict=True)] for sign in (-1, 1))
            colour, word = class_colour(pairs.index((i, j))), "and" if (j, i) not in pairs else "to"
            axis.fill_between(steps, low, high, color=colour, alpha=0.12, linewidth=0)
            axis.plot(steps, mean, marker="o", markersize=3, linewidth=1.5, color=colour,
                      label=f"{last.names[i]} {word} {last.names[j]}")  # fmt: skip
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axis.set_title(measure, fontsize=10)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        if len(pairs) <= _LEGEND:
            axis.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axis in axes[len(measures) :]:
        axis.axis("off")
    write_figure(figure, path)
