"""Maximum F-measure of a foreground, as tables of saliency on PASCAL-Context have it.

Sources: Achanta, Hemami, Estrada, Susstrunk, "Frequency-tuned Salient Region Detection", CVPR 2009: beta^2 = 0.3;
thresholds and counts over the whole set: Bruggemann et al., "Exploring Relational Context for Multi-Task Dense
Prediction" (ATRC), ICCV 2021, https://github.com/brdav/atrc. The mean over pictures of other tables is another number.
Shapes: B samples, H x W pixels, T thresholds.
"""

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.metrics.segmentation import SegmentationMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.metrics.totals import Totals, at_size
from mtl.task import Task

BETA_SQUARED = 0.3
_STEPS = 20  # thresholds 0.05, 0.10 to 0.95


class SaliencyMetrics(SegmentationMetrics):
    """The metrics of segmentation, and `max_f`: the F-measure of the second class at the best of 19 thresholds.

    Args:
        task: a task of kind `segmentation` with two classes.

    Raises:
        ValueError: for another number of classes.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        if task.num_classes != 2:
            raise ValueError(
                f"task {task.name!r} has {task.num_classes} classes; max_f is the F-measure of a foreground, so the "
                "task needs two, the second of them the foreground. Leave max_f out."
            )
        self.totals = Totals({"right": _STEPS - 1, "predicted": _STEPS - 1, "true": 1})

    def update(self, predictions: Predictions, batch: Batch) -> None:
        super().update(predictions, batch)
        target_BHW = batch[self.task.name]
        known_BHW = (target_BHW >= 0) & labelled(batch, self.task)[:, None, None]
        # of two classes, what the likelier one lacks belongs to the other
        sure_BHW = predictions["scores"].double()
        share_BHW = torch.where(predictions["class_map"] == 1, sure_BHW, 1 - sure_BHW)
        share_N = at_size(share_BHW, *target_BHW.shape[-2:])[known_BHW]
        true_N = (target_BHW[known_BHW] == 1).double()
        self.totals.update(right=_above(share_N, true_N), predicted=_above(share_N), true=true_N.sum())

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        values, sums = super().compute(per_class), self.totals.compute()
        if sums["true"]:
            values["max_f"] = f_beta(sums["right"], sums["predicted"], sums["true"]).max().float()
        return values

    def reset(self) -> None:
        super().reset()
        self.totals.reset()


def f_beta(right: Tensor, predicted: Tensor, true: Tensor, beta_squared: float = BETA_SQUARED) -> Tensor:
    """F-measure, in which precision counts more than recall where `beta_squared` is below 1; 0 where nothing is right.

    Args:
        right: pixels of the foreground that are predicted as such.
        predicted: pixels that are predicted as foreground.
        true: pixels of the foreground, at least one.
        beta_squared: weight of recall against precision.
    """
    return (1 + beta_squared) * right / (beta_squared * true + predicted)


def _above(share_N: Tensor, weight_N: Tensor | None = None) -> Tensor:
    """How many pixels have at least each threshold, float64 [T]."""
    place_N = (share_N * _STEPS + 1e-6).long().clamp(0, _STEPS - 1)
    counts = torch.zeros(_STEPS, dtype=torch.float64, device=share_N.device)
    counts.scatter_add_(0, place_N, torch.ones_like(share_N) if weight_N is None else weight_N)
    return counts.flip(0).cumsum(0).flip(0)[1:]
