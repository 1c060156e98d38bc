"""Angles between predicted and true surface normals, over all known pixels of the set.

Source: Fouhey, Gupta, Hebert, "Data-Driven 3D Primitives for Single Image Understanding", ICCV 2013: mean, median, and
shares of pixels within 11.25, 22.5 and 30 degrees. The median is taken over the whole set; some code reports the mean
of the medians of its batches, which is another number.
Shapes: B samples, H x W pixels, N known pixels.
"""

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals, at_size
from mtl.task import Task

_WITHIN = {"within_11_25": 11.25, "within_22_5": 22.5, "within_30": 30.0}
_BINS = 18_000  # of 0.01 degrees: the sums of all ranks give the median of all pixels to that accuracy


class NormalMetrics(TaskMetrics):
    """`mean` and `median` angle in degrees, and `within_11_25`, `within_22_5`, `within_30`.

    Args:
        task: a task of kind `normals`.
    """

    lower_is_better = frozenset({"mean", "median"})

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.totals = Totals({"count": 1, "angle": 1, "within": len(_WITHIN), "histogram": _BINS})

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_B3HW = batch[self.task.name].float()
        known_BHW = target_B3HW.isfinite().all(1) & labelled(batch, self.task)[:, None, None]
        found_B3HW = at_size(predictions["normals"].float(), *target_B3HW.shape[-2:])
        angle_N = angles(found_B3HW.movedim(1, -1)[known_BHW], target_B3HW.movedim(1, -1)[known_BHW])
        place_N = (angle_N * (_BINS / 180)).long().clamp(max=_BINS - 1)
        self.totals.update(
            count=known_BHW.sum(),
            angle=angle_N.double().sum(),
            within=torch.stack([(angle_N < limit).sum() for limit in _WITHIN.values()]),
            histogram=torch.bincount(place_N, minlength=_BINS),
        )

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        sums = self.totals.compute()
        count = sums["count"]
        if not count:
            return {}
        values = {"mean": sums["angle"] / count, "median": _median(sums["histogram"])}
        values |= {name: sums["within"][place] / count for place, name in enumerate(_WITHIN)}
        return {name: value.float() for name, value in values.items()}

    def reset(self) -> None:
        self.totals.reset()


def angles(first_N3: Tensor, second_N3: Tensor) -> Tensor:
    """Angles in degrees, [N], by the arc tangent: the arc cosine of a float32 product is wrong by 0.03 near 0.

    Args:
        first_N3: vectors of any length.
        second_N3: vectors of any length.
    """
    across_N = torch.linalg.cross(first_N3, second_N3, dim=-1).norm(dim=-1)
    along_N = (first_N3 * second_N3).sum(-1)
    angle_N = torch.atan2(across_N, along_N).rad2deg()
    # a vector without length has no direction, and must not count as right
    return torch.where((across_N == 0) & (along_N == 0), 90.0, angle_N)


def _median(histogram: Tensor) -> Tensor:
    """The lower edge of the bin in which half of the pixels is reached."""
    reached = histogram.cumsum(0) >= histogram.sum() / 2
    return reached.double().argmax() * (180 / _BINS)
