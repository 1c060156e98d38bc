"""A grid of held-out samples with what was predicted and what is true, as one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten, wrap
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mtl.drawing.figure_file import save_figure
from mtl.drawing.maps import map_panels
from mtl.drawing.sample import TEXT_COLOUR, Picture, class_colour
from mtl.targets.overlay import Boxes
from mtl.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

_WRONG = "#c1121f"
_LINE = 40  # letters above a picture
_MOST_LINES = 4  # of a sentence
_GAP_PX = 2  # between a picture and its maps


def draw_grid(
    pictures: Sequence[Picture],
    tasks: Mapping[str, Task],
    path: Path,
    columns: int = 4,
    only_true: bool = False,
    name_true: bool = False,
) -> None:
    """A grid of samples as PNG: predicted boxes solid, true boxes dashed, wrong answers in red.

    Maps, such as masks and depth, stand beside their picture, the predicted one before the true one; a sample then has
    a row of its own.

    Args:
        pictures: the samples.
        tasks: the tasks, by name.
        path: the file to write.
        columns: samples in a row.
        only_true: what stands in place of a prediction is the annotation, and there is nothing to compare it with.
        name_true: also write the class of every true box, below it.

    Raises:
        ValueError: without any sample.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not pictures:
        raise ValueError("there is no sample to draw; give at least one.")
    maps = max((1 if only_true else 2) * len(map_panels(picture)) for picture in pictures)
    columns = 1 if maps else min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].image.shape[-2:]
    lines = max(1, max(len(picture.answers) + len(_text(picture, maps > 0)) for picture in pictures))
    tile = 1.6 if maps else 2.6
    size = (columns * tile * (1 + maps), rows * (tile * height / width + 0.14 * lines + 0.02) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, picture in zip(axes.flat, pictures, strict=False):
        _draw(axis, picture, tasks, only_true, _text(picture, maps > 0))
        if name_true:
            _name_true(axis, picture, tasks)
    for axis in axes.flat[len(pictures) :]:
        axis.axis("off")
    boxes = any(isinstance(overlay.predicted, Boxes) for p in pictures for overlay in p.overlays.values())
    words = (
        "annotated boxes and their classes" if only_true else "solid: predicted, class and score    dashed white: true"
    )
    legend = words if boxes else ""
    figure.supxlabel(legend, fontsize=8, color="0.35")
    save_figure(figure, path)


def _text(picture: Picture, narrow: bool) -> list[str]:
    """The lines of what belongs to the picture; a picture beside maps is narrow."""
    return wrap(picture.text, _LINE // 2 if narrow else _LINE, max_lines=_MOST_LINES, placeholder=" ...")


def _draw(axis: "Axes", picture: Picture, tasks: Mapping[str, Task], only_true: bool, text: Sequence[str]) -> None:
    pixels, captions = _with_maps(picture, only_true)
    axis.imshow(pixels.permute(1, 2, 0).numpy(), interpolation="nearest")
    height, width = picture.image.shape[-2:]
    # the layout makes room above a place for what stands above the picture, so the picture must not lie lower in it
    axis.set(xticks=[], yticks=[], xlim=(-0.5, pixels.shape[-1] - 0.5), ylim=(height - 0.5, -0.5), anchor="N")
    for left, words in captions.items():
        _caption(axis, left + width / 2, words, 0, "0.15")
    for name, overlay in picture.overlays.items():
        if isinstance(overlay.true, Boxes):
            for box in overlay.true.boxes.tolist():
                axis.add_patch(_rectangle(box, edgecolor="white", linewidth=1.1, linestyle=(0, (4, 2)), zorder=2))
        if isinstance(overlay.predicted, Boxes):
            _draw_predicted(axis, overlay.predicted, tasks[name], height)
    wrong = any(answer.correct is False for answer in picture.answers.values())
    for line, (name, answer) in enumerate(reversed(picture.answers.items())):
        # one text per answer, so only a wrong one is red
        # a long list of classes would squeeze the picture away
        words = shorten(f"{name}: {answer}", _LINE, placeholder=" ...")
        _caption(axis, width / 2, words, line, _WRONG if answer.correct is False else "0.15")
    for line, words in enumerate(reversed(text), len(picture.answers)):
        _caption(axis, width / 2, words, line, TEXT_COLOUR)
    for spine in axis.spines.values():
        spine.set(color=_WRONG if wrong else "0.6", linewidth=1.6 if wrong else 0.6)


def _with_maps(picture: Picture, only_true: bool) -> tuple[Tensor, dict[int, str]]:
    """The picture with its maps to the right, and what stands above each, by its left edge."""
    gap = torch.full((3, picture.image.shape[-2], _GAP_PX), 255, dtype=torch.uint8)
    parts, captions, left = [picture.image], {}, picture.image.shape[-1]
    for name, (found, true) in map_panels(picture).items():
        for words, panel in ((name, found), (f"{name}, true", true))[: 1 if only_true else 2]:
            if panel is None:  # not annotated: an empty place, so that columns stay columns
                words, panel = "", torch.full_like(found, 255)
            captions[left + _GAP_PX] = words
            parts += [gap, panel]
            left += _GAP_PX + panel.shape[-1]
    return torch.cat(parts, -1), captions


def _caption(axis: "Axes", middle: float, words: str, line: int, colour: str) -> None:
    axis.annotate(
        words, (middle - 0.5, -0.5), xytext=(0, 3 + 10 * line), textcoords="offset points", ha="center", va="bottom",
        fontsize=8, color=colour, annotation_clip=False, parse_math=False,
    )  # fmt: skip


def _name_true(axis: "Axes", picture: Picture, tasks: Mapping[str, Task]) -> None:
    for name, overlay in picture.overlays.items():
        if isinstance(overlay.true, Boxes):
            for box, label in zip(overlay.true.boxes.tolist(), overlay.true.labels.tolist(), strict=True):
                axis.text(
                    box[2] - 0.5, box[3] - 0.5, tasks[name].class_name(label), fontsize=5, color="black", ha="right",
                    va="top", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}, zorder=5,
                    clip_on=True, parse_math=False,
                )  # fmt: skip


def _draw_predicted(axis: "Axes", boxes: Boxes, task: Task, height: int) -> None:
    scores = [""] * len(boxes.labels) if boxes.scores is None else [f" {score:.2f}" for score in boxes.scores.tolist()]
    for box, label, score in zip(boxes.boxes.tolist(), boxes.labels.tolist(), scores, strict=True):
        colour = class_colour(label)
        axis.add_patch(_rectangle(box, edgecolor=colour, linewidth=1.6, zorder=3))
        above = box[1] > 0.09 * height
        axis.text(
            box[0] - 0.5,
            (box[1] if above else box[3]) - 0.5,
            f"{task.class_name(label)}{score.replace(' 0.', ' .')}",
            fontsize=6,
            color="white",
            va="bottom" if above else "top",
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8},
            zorder=4,
            clip_on=True,
            parse_math=False,
        )


def _rectangle(box: list[float], **style: Any) -> "Rectangle":
    from matplotlib.patches import Rectangle

    # pixel i is drawn from i - 0.5 to i + 0.5
    return Rectangle((box[0] - 0.5, box[1] - 0.5), box[2] - box[0], box[3] - box[1], fill=False, **style)
