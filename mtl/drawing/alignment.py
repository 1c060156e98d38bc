"""When a transcript is heard: a spectrogram, and under it the probability of each symbol over time.

Shapes: F frames of M bands, T steps of V symbols with the blank 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mtl.drawing.figure_file import save_figure

_HEIGHT_IN, _WIDTH_IN = 2.6, 10.0
_LEAST = 0.3  # probability of a symbol that gets a line


@dataclass(frozen=True)
class Alignment:
    """One sample.

    Args:
        title: what was said, and what was heard.
        mel_FM: the spectrogram.
        shares_TV: probability of every symbol at every step; the steps span the whole spectrogram.
        seconds: its length.
    """

    title: str
    mel_FM: Tensor
    shares_TV: Tensor
    seconds: float


def draw_alignments(samples: Sequence[Alignment], names: Sequence[str], path: Path) -> bool:
    """Write a picture with two strips a sample; whether it was written.

    Args:
        samples: at least one.
        names: of the symbols, the blank first.
        path: the file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN * len(samples)), layout="constrained")
    axes = figure.subplots(2 * len(samples), 1, squeeze=False)[:, 0]
    for sample, above, below in zip(samples, axes[::2], axes[1::2], strict=True):
        extent = (0, sample.seconds, 0, sample.mel_FM.shape[1])
        above.imshow(sample.mel_FM.T.numpy(), origin="lower", aspect="auto", extent=extent, cmap="magma")
        # names of symbols may hold signs that formulas are made of
        above.set_title(sample.title.replace("$", r"\$"), fontsize=9, loc="left")
        above.set(ylabel="band", xticks=[])
        step = sample.seconds / max(1, len(sample.shares_TV))
        times = [(index + 0.5) * step for index in range(len(sample.shares_TV))]
        below.plot(times, sample.shares_TV[:, 0].numpy(), color="0.8", linewidth=1)
        for symbol in range(1, sample.shares_TV.shape[1]):
            share_T = sample.shares_TV[:, symbol]
            if float(share_T.max()) < _LEAST:
                continue
            (line,) = below.plot(times, share_T.numpy(), linewidth=1.2)
            for place in _peaks(share_T):
                name = names[symbol].replace("$", r"\$")
                below.annotate(name, (times[place], 1.02), ha="center", fontsize=8, color=line.get_color())
        below.set(xlim=(0, sample.seconds), ylim=(0, 1.18), ylabel="share", yticks=[0, 1])
    axes[-1].set_xlabel("seconds (grey: blank)")
    return save_figure(figure, path)


def _peaks(share_T: Tensor) -> list[int]:
    """The highest step of each stretch in which a symbol is likely."""
    found: list[int] = []
    best: int | None = None
    for step, share in enumerate([*share_T.tolist(), 0.0]):
        if share >= _LEAST:
            best = step if best is None or share > float(share_T[best]) else best
        elif best is not None:
            found.append(best)
            best = None
    return found
