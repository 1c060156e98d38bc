"""A decision curve: the net benefit of each model over the threshold from which on one would act.

Shapes: N samples.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mtl.drawing.figure_file import panels, save_figure
from mtl.functional.net_benefit import net_benefit, net_benefit_of_all

_COLUMNS = 3
_MODELS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")


def draw_net_benefit(answers: Mapping[str, tuple[Mapping[str, Tensor], Tensor]], path: Path) -> bool:
    """One panel for each task: a curve for each model, and what treating everybody or nobody gains.

    Args:
        answers: by task the probability of the positive class by model, [N] each, and whether each sample is positive.
        path: the file to write.

    Returns:
        Whether it was written.
    """
    figure, axes = panels(len(answers), _COLUMNS, 3.8, 3.2)
    thresholds_T = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    for axis, (name, (models, labels_N)) in zip(axes, answers.items(), strict=True):
        all_T = net_benefit_of_all(labels_N, thresholds_T)
        axis.plot(thresholds_T, all_T, color="0.5", linewidth=0.8, linestyle="--", label="everybody")
        axis.axhline(0, color="0.5", linewidth=0.8, linestyle=":", label="nobody")
        for index, (model, scores_N) in enumerate(models.items()):
            curve_T = net_benefit(scores_N, labels_N, thresholds_T)
            axis.plot(thresholds_T, curve_T, color=_MODELS[index % len(_MODELS)], linewidth=1.2, label=model)
        share = float(labels_N.double().mean())
        axis.set_title(f"{name}: {len(labels_N)} samples, {int(labels_N.sum())} positive", fontsize=9)
        # what costs more than nobody's treatment is all the same: the picture shows where a model helps
        axis.set(xlim=(0, 1), ylim=(-0.25 * max(share, 0.04), 1.1 * max(share, 0.04)))
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    figure.supxlabel("probability from which on one would act", fontsize=9)
    figure.supylabel("net benefit per sample", fontsize=9)
    return save_figure(figure, path)
