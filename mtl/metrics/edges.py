"""F-measure of edges at the best threshold, where an edge counts as found within a small distance.

The benchmark of Martin, Fowlkes, Malik ("Learning to Detect Natural Image Boundaries", PAMI 2004) thins predictions and
matches pixels one to one; its `odsF` needs that program. Here a predicted pixel is right if a true edge lies within the
tolerance, and a true pixel is found if a predicted one does. Hence the names.
Shapes: B samples, H x W pixels, T thresholds.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals, at_size
from mtl.task import Task

_THRESHOLDS = 99  # 0.01 to 0.99


class EdgeMetrics(TaskMetrics):
    """`ods_tolerance` (best threshold of the set) and `ois_tolerance` (best threshold of each picture).

    Args:
        task: a task of kind `edges`.
        tolerance: largest distance, as a share of the picture's diagonal; rounded up to whole pixels.
    """

    def __init__(self, task: Task, tolerance: float = 0.0075) -> None:
        super().__init__(task)
        self.tolerance = tolerance
        # right of predicted, and found of true
        counts = {"right": _THRESHOLDS, "predicted": _THRESHOLDS, "found": _THRESHOLDS, "true": 1}
        self.totals = Totals({**counts, "best": 4})

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_BHW = batch[self.task.name].float()
        known_BHW = target_BHW.isfinite() & labelled(batch, self.task)[:, None, None]
        scores_BHW = at_size(predictions["probabilities"].float(), *target_BHW.shape[-2:]) * known_BHW
        edge_BHW = (target_BHW > 0.5) & known_BHW
        radius = math.ceil(self.tolerance * math.hypot(*target_BHW.shape[-2:]))
        near_edge_BHW = _largest_within(edge_BHW.float(), radius) > 0
        near_scores_BHW = _largest_within(scores_BHW, radius)
        predicted_BT = _above(scores_BHW, known_BHW)
        right_BT = _above(scores_BHW, known_BHW & near_edge_BHW)
        found_BT = _above(near_scores_BHW, edge_BHW)
        true_B = edge_BHW.flatten(1).sum(1).double()
        score_BT = f_measure(right_BT, predicted_BT, found_BT, true_B[:, None])
        # where nothing can be right, as in a picture without edges, the best threshold has the fewest false alarms
        score_BT = torch.where(score_BT.amax(1, keepdim=True) > 0, score_BT, -predicted_BT)
        best_B = score_BT.argmax(1, keepdim=True)
        best = [counts.gather(1, best_B).sum() for counts in (right_BT, predicted_BT, found_BT)]
        self.totals.update(
            right=right_BT.sum(0),
            predicted=predicted_BT.sum(0),
            found=found_BT.sum(0),
            true=true_B.sum(),
            best=torch.stack([*best, true_B.sum()]),
        )

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        sums = self.totals.compute()
        if not sums["true"]:
            return {}
        ods = f_measure(sums["right"], sums["predicted"], sums["found"], sums["true"]).max()
        return {"ods_tolerance": ods.float(), "ois_tolerance": f_measure(*sums["best"]).float()}

    def reset(self) -> None:
        self.totals.reset()


def f_measure(right: Tensor, predicted: Tensor, found: Tensor, true: Tensor) -> Tensor:
    """Harmonic mean of precision and recall; 0 where nothing is right.

    Args:
        right: predicted pixels near a true edge.
        predicted: predicted pixels.
        found: true pixels near a predicted edge.
        true: true pixels.
    """
    precision, recall = right / predicted.clamp(min=1), found / true.clamp(min=1)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-12)


def _largest_within(values_BHW: Tensor, radius: int) -> Tensor:
    """The largest value within a distance of every pixel."""
    steps = range(-radius, radius + 1)
    padded = F.pad(values_BHW, [radius] * 4)
    height, width = values_BHW.shape[-2:]
    shifted = [
        padded[:, radius + dy : radius + dy + height, radius + dx : radius + dx + width]
        for dy in steps
        for dx in steps
        if dy * dy + dx * dx <= radius * radius
    ]
    largest = shifted[0]
    for values in shifted[1:]:
        largest = torch.maximum(largest, values)
    return largest


def _above(scores_BHW: Tensor, chosen_BHW: Tensor) -> Tensor:
    """How many of the chosen pixels have a score of at least each threshold, [B,T]."""
    levels = _THRESHOLDS + 1
    place_BN = (scores_BHW.double() * levels + 1e-6).long().clamp(0, levels - 1).flatten(1)
    counts = torch.zeros(len(place_BN), levels, dtype=torch.float64, device=place_BN.device)
    counts.scatter_add_(1, place_BN, chosen_BHW.flatten(1).double())
    return counts.flip(1).cumsum(1).flip(1)[:, 1:]
