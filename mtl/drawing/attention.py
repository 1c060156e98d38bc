"""What a decoder looked at: for every word that it wrote, how its attention is spread over the words that it read.

Shapes: S steps of the output, N steps of the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mtl.drawing.figure_file import save_figure

_CELL_IN = 0.24
_TITLE_IN = 1.1
_SMALLEST_IN = 2.0


@dataclass(frozen=True)
class Attention:
    """One sample.

    Args:
        title: what was written, and what is true.
        read: the words of the input, N.
        written: the words of the output, S.
        shares_SN: each row sums to 1.
    """

    title: str
    read: Sequence[str]
    written: Sequence[str]
    shares_SN: Tensor


def draw_attention(samples: Sequence[Attention], path: Path) -> bool:
    """Write a picture with a table of shades for each sample, one below the other; whether it was written.

    Args:
        samples: at least one.
        path: the file.
    """
    from matplotlib.figure import Figure

    heights = [max(_SMALLEST_IN, _TITLE_IN + _CELL_IN * len(sample.written)) for sample in samples]
    width = max(6.0, 1.5 + _CELL_IN * max(len(sample.read) for sample in samples))
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    axes = figure.subplots(len(samples), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for sample, axis in zip(samples, axes, strict=True):
        shades = axis.imshow(sample.shares_SN.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        # words may hold signs that formulas are made of
        axis.set_title(sample.title.replace("$", r"\$"), fontsize=8, loc="left", wrap=True)
        for place, words, turn in ((axis.xaxis, sample.read, 90), (axis.yaxis, sample.written, 0)):
            place.set_ticks(range(len(words)), [word.replace("$", r"\$") for word in words], fontsize=7, rotation=turn)
        axis.set(xlabel="read", ylabel="written")
        figure.colorbar(shades, ax=axis, label="share", ticks=[0, 1])
    return save_figure(figure, path)
