"""Affinity matrices as files: `<Measure>.csv` with mean and spread of every pair, and one picture of all of them.

Shapes: N batches, K tasks, M measures.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mtl.config.foreign_files import read_small
from mtl.drawing.figure_file import write_figure

_MOST_BYTES, _MOST_TASKS = 10_000_000, 200


@dataclass(frozen=True)
class Affinity:
    """What a measure found.

    Args:
        mean_KK: mean over batches; row i, column j is what task i does for task j.
        spread_KK: standard deviation over batches.
        names: of the tasks.
    """

    mean_KK: Tensor
    spread_KK: Tensor
    names: Sequence[str]


def summarise(matrices_NKK: Tensor, names: Sequence[str]) -> Affinity:
    """Mean and standard deviation over batches, a pair that is not known in a batch left out there.

    Args:
        matrices_NKK: one matrix for each batch.
        names: of the tasks.
    """
    values = matrices_NKK.double()
    mean_KK = values.nanmean(0)
    count_KK = values.isfinite().sum(0)
    squared_KK = (values - mean_KK).square().nansum(0) / (count_KK - 1).clamp(min=1)
    return Affinity(mean_KK, torch.where(count_KK > 1, squared_KK.sqrt(), torch.nan), names)


def write_affinities(found: Mapping[str, Affinity], folder: Path) -> list[Path]:
    """Write a CSV for each measure and `affinity.png`.

    Args:
        found: by name of the measure.
        folder: where to; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, affinity in found.items():
        files.append(folder / f"{name}.csv")
        with files[-1].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["from", "to", "mean", "std"])
            for i, first in enumerate(affinity.names):
                for j, second in enumerate(affinity.names):
                    pair = (float(affinity.mean_KK[i, j]), float(affinity.spread_KK[i, j]))
                    writer.writerow([first, second, *(f"{value:.6g}" for value in pair)])
    files.append(folder / "affinity.png")
    _draw(found, files[-1])
    return files


def read_affinity(path: Path) -> Affinity:
    """An affinity back from its CSV.

    Args:
        path: the file.

    Raises:
        ValueError: if it is not one.
    """
    wrong = f"{path} is no affinity; `python -m mtl affinity` writes them as from,to,mean,std."
    try:
        text = read_small(path, _MOST_BYTES, follow=True).decode("utf-8")
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        names = list(dict.fromkeys(row[0] for row in rows))
        if head != ["from", "to", "mean", "std"] or len(rows) != len(names) ** 2 or len(names) > _MOST_TASKS:
            raise ValueError(wrong)
        values = [[float(row[column]) for row in rows] for column in (2, 3)]
    except (csv.Error, IndexError, ValueError) as error:
        raise ValueError(wrong) from error
    mean_KK, spread_KK = (torch.tensor(column, dtype=torch.float64).view(len(names), -1) for column in values)
    return Affinity(mean_KK, spread_KK, names)


def _draw(found: Mapping[str, Affinity], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, (name, affinity) in zip(axes, found.items(), strict=False):
        values_KK = affinity.mean_KK.clone()
        off = ~torch.eye(len(values_KK), dtype=torch.bool)
        most = float(values_KK[off].abs().nan_to_num().max()) or 1.0
        axis.imshow(values_KK.numpy(), vmin=-most, vmax=most, cmap="RdBu")
        axis.set_title(name, fontsize=10)
        axis.set_xticks(range(len(affinity.names)), affinity.names, fontsize=7, rotation=30, ha="right")
        axis.set_yticks(range(len(affinity.names)), affinity.names, fontsize=7)
        for i in range(len(values_KK)):
            for j in range(len(values_KK)):
                value = float(values_KK[i, j])
                colour = "white" if abs(value) > 0.6 * most else "black"
                axis.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=7, color=colour)
    for axis in axes[len(found) :]:
        axis.axis("off")
    write_figure(figure, path)
