"""A reliability picture: how often the positive class occurred where it was predicted with some probability.

Shapes: N samples, K bins.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mtl.drawing.figure_file import panels, save_figure
from mtl.functional.calibration import brier_score, calibration_error, reliability_bins

_BINS = 10
_COLUMNS = 4


def draw_reliability(answers: Mapping[str, tuple[Tensor, Tensor]], path: Path) -> bool:
    """One panel for each task: a dot for each bin, as large as its share of the samples; the diagonal is right.

    Args:
        answers: probability of the positive class and whether each sample is positive, [N] each, by task.
        path: the file to write.

    Returns:
        Whether it was written.
    """
    figure, axes = panels(len(answers), _COLUMNS, 3, 3.1)
    for axis, (name, (scores_N, labels_N)) in zip(axes, answers.items(), strict=True):
        bins = reliability_bins(scores_N, labels_N, _BINS)
        seen_K = bins.weight > 0
        axis.plot((0, 1), (0, 1), color="0.6", linewidth=0.8, linestyle=":")
        axis.plot(bins.predicted[seen_K], bins.observed[seen_K], color="tab:blue", linewidth=1)
        axis.scatter(bins.predicted[seen_K], bins.observed[seen_K], s=8 + 300 * bins.weight[seen_K], alpha=0.6)
        error, brier = float(calibration_error(scores_N, labels_N)), float(brier_score(scores_N, labels_N))
        axis.set_title(f"{name}: {len(labels_N)} samples, {int(labels_N.sum())} positive", fontsize=9)
        axis.text(0.03, 0.93, f"calibration error {error:.3f}\nBrier score {brier:.3f}", fontsize=8, va="top")
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axis.tick_params(labelsize=7)
    figure.supxlabel("predicted probability", fontsize=9)
    figure.supylabel("share of positive samples", fontsize=9)
    return save_figure(figure, path)
