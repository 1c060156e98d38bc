"""Pictures of what tasks use: saliency of each on some samples, and which channels of the shared features serve whom.

Shapes: K tasks, C channels of all levels, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mtl.drawing.figure_file import save_figure
from mtl.drawing.sample import Picture, class_colour
from mtl.functional.channel_usage import block_order, channel_owners
from mtl.targets.overlay import Boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LETTERS = 26  # under a tile
_WRONG = "#c1121f"


@dataclass(frozen=True)
class Channels:
    """The channels of the shared features and what each is worth to each task.

    Attributes:
        places: level and index of every channel.
        tasks: names.
        shares_KC: share of each channel in what a task uses, as `usage_shares` gives them.
    """

    places: Sequence[tuple[str, int]]
    tasks: Sequence[str]
    shares_KC: Tensor


def draw_saliency(pictures: Sequence[Picture], saliency: Sequence[Tensor], tasks: Sequence[str], path: Path) -> bool:
    """Samples as rows, tasks as columns: bright where a task looks, each tile on a scale of its own.

    Args:
        pictures: the samples.
        saliency: of every task on each of them, [K,H,W].
        tasks: their names.
        path: the file to write.

    Returns:
        Whether it was written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height, width = pictures[0].image.shape[-2:]
    tile, caption = 1.75, 0.17
    columns, rows = 1 + len(tasks), len(pictures)
    close = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.015, wspace=0, hspace=0)
    figure = Figure(figsize=(columns * tile, rows * (tile * height / width + caption) + 0.35), layout=close)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, (picture, maps_KHW) in enumerate(zip(pictures, saliency, strict=True)):
        _tile(axes[row, 0], picture.image.permute(1, 2, 0).numpy())
        for task, name in enumerate(tasks):
            axis, map_HW = axes[row, 1 + task], maps_KHW[task]
            known = bool((map_HW > 0).any())
            _tile(axis, _lit(picture.image, map_HW), class_colour(task))
            words, wrong = _caption(picture, name) if known else ("no label here", False)
            axis.set_xlabel(shorten(words, _LETTERS, placeholder=" ..."), fontsize=7, labelpad=2,
                            color=_WRONG if wrong else "0.25")  # fmt: skip
    axes[0, 0].set_title("image", fontsize=9)
    for task, name in enumerate(tasks):
        axes[0, 1 + task].set_title(name, fontsize=9, fontweight="bold", color=class_colour(task))
    return save_figure(figure, path)


def draw_usage(channels: Channels, overlap_KK: Tensor, path: Path) -> bool:
    """Which channels serve which task, in blocks by owner, and how much every two tasks have in common.

    Args:
        channels: the channels and their shares.
        overlap_KK: overlap of every pair of tasks.
        path: the file to write.

    Returns:
        Whether it was written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = len(channels.tasks)
    owner_C = channel_owners(channels.shares_KC)
    order_C = block_order(channels.shares_KC)
    order_C = order_C[owner_C[order_C] >= 0]
    side = 1.3 + 0.3 * max(tasks, 3)
    figure = Figure(figsize=(7.6 + side, 1.9 + side), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, width_ratios=(7.6, side), height_ratios=(1, 1))
    matrix, parts = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    _draw_matrix(matrix, channels, order_C)
    _draw_parts(parts, channels, order_C)
    _draw_overlap(figure.add_subplot(grid[:, 1]), overlap_KK, channels.tasks)
    unused = len(channels.places) - len(order_C)
    words = f"{len(order_C)} channels" + (f"; {unused} more serve no task" if unused else "")
    parts.set_xlabel(f"{words}; sorted by the task they serve most", fontsize=8, color="0.3")
    return save_figure(figure, path)


def _draw_matrix(axis: "Axes", channels: Channels, order_C: Tensor) -> None:
    # 1: the channel that serves this task most; the root shows the small ones as well
    shares_KC = channels.shares_KC[:, order_C]
    shown_KC = (shares_KC / shares_KC.amax(1, keepdim=True)).sqrt()
    axis.imshow(shown_KC.numpy(), aspect="auto", cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    axis.set_facecolor("0.85")  # of a task that is not known
    _task_ticks(axis, channels.tasks)
    axis.set_xticks([])
    axis.set_title("use of each channel (share of |gradient x activation|, root, per task)", fontsize=9)
    for edge in _edges(channels, order_C):
        axis.axvline(edge - 0.5, color="white", linewidth=1.2)


def _draw_parts(axis: "Axes", channels: Channels, order_C: Tensor) -> None:
    shares_KC = channels.shares_KC[:, order_C].nan_to_num()
    parts_KC = (shares_KC / shares_KC.sum(0)).numpy()
    bottom = np.zeros(len(order_C))
    for task, part_C in enumerate(parts_KC):
        # steps: thousands of channels are one polygon, not thousands of bars
        top = bottom + part_C
        axis.fill_between(np.arange(len(order_C) + 1) - 0.5, np.append(bottom, bottom[-1:]), np.append(top, top[-1:]),
                          step="post", color=class_colour(task), linewidth=0)  # fmt: skip
        bottom = top
    axis.set(xlim=(-0.5, max(len(order_C), 1) - 0.5), ylim=(0, 1), xticks=[])
    axis.set_yticks([0, 0.5, 1], ["0", "½", "1"], fontsize=7)
    axis.set_title("whom each channel serves", fontsize=9)
    owner_C = channel_owners(channels.shares_KC)[order_C]
    edges = [0, *_edges(channels, order_C), len(order_C)]
    for start, stop in pairwise(edges):
        axis.axvline(start - 0.5, color="white", linewidth=1.2)
        if stop > start:
            name = channels.tasks[int(owner_C[start])]
            narrow = stop - start < 0.1 * len(order_C)
            axis.text((start + stop - 1) / 2, 0.04, f"{name} {stop - start}", fontsize=7.5, fontweight="bold",
                      color="white", ha="center", va="bottom", rotation=90 if narrow else 0)  # fmt: skip


def _draw_overlap(axis: "Axes", overlap_KK: Tensor, tasks: Sequence[str]) -> None:
    axis.imshow(overlap_KK.numpy(), vmin=0, vmax=1, cmap="Blues")
    axis.set_facecolor("0.85")
    axis.set_title("overlap of two tasks", fontsize=9)
    axis.set_xticks(range(len(tasks)), tasks, fontsize=8, rotation=30, ha="right")
    _task_ticks(axis, tasks)
    if len(tasks) <= 12:
        for (row, column), value in np.ndenumerate(overlap_KK.numpy()):
            axis.text(column, row, f"{value:.2f}" if value == value else "?", ha="center", va="center", fontsize=8,
                      color="white" if value > 0.6 else "black")  # fmt: skip


def _task_ticks(axis: "Axes", tasks: Sequence[str]) -> None:
    axis.set_yticks(range(len(tasks)), tasks, fontsize=8)
    for task, label in enumerate(axis.get_yticklabels()):
        label.set(color=class_colour(task), fontweight="bold")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _edges(channels: Channels, order_C: Tensor) -> list[int]:
    owner_C = channel_owners(channels.shares_KC)[order_C]
    return [int(index) + 1 for index in torch.nonzero(owner_C[1:] != owner_C[:-1])[:, 0]]


def _tile(axis: "Axes", pixels: Any, colour: str = "0.6") -> None:
    axis.imshow(pixels, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=1.0)


def _lit(image: Tensor, map_HW: Tensor) -> Any:
    """The picture in dim grey, lit in the colours of fire where the map is high, [H,W,3] in 0..1."""
    from matplotlib import colormaps

    grey_HW = image.float().mean(0) / 255
    # a single hot cell must not leave the rest dark
    top = torch.quantile(map_HW.flatten(), 0.995).clamp(min=1e-30)
    level_HW = (map_HW / top).clamp(0, 1).sqrt()
    fire = torch.from_numpy(colormaps["inferno"](level_HW.numpy())[..., :3]).float()
    opacity = (0.9 * level_HW)[..., None]
    return ((1 - opacity) * 0.55 * grey_HW[..., None] + opacity * fire).clamp(0, 1).numpy()


def _caption(picture: Picture, name: str) -> tuple[str, bool]:
    """What the task says about the sample, and whether that is wrong."""
    if answer := picture.answers.get(name):
        return str(answer), answer.correct is False
    shown = picture.overlays[name]
    if isinstance(shown.predicted, Boxes):
        there = f" of {len(shown.true.labels)}" if isinstance(shown.true, Boxes) else ""
        return f"{len(shown.predicted.labels)} found{there}", False
    return "", False
