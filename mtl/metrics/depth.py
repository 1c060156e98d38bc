"""Errors of a depth map, over all measured pixels of the set.

Source: Eigen, Puhrsch, Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network", NeurIPS
2014, arXiv:1406.2283, section 4. Every pixel counts once; means of images or batches are other numbers.
Shapes: B samples, H x W pixels, N measured pixels.
"""

import torch

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals, at_size
from mtl.task import Task

_DELTA = 1.25
_LEAST = 1e-6  # a prediction below it counts as it in ratios


class DepthMetrics(TaskMetrics):
    """`abs_err`, `rel_err`, `rmse`, `rmse_log`, and `delta_1` to `delta_3`: shares of pixels within a factor 1.25^k.

    Args:
        task: a task of kind `depth` or `inverse_depth`.
    """

    lower_is_better = frozenset({"abs_err", "rel_err", "rmse", "rmse_log"})

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.totals = Totals({"count": 1, "absolute": 1, "relative": 1, "squared": 1, "squared_log": 1, "within": 3})

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_BHW = batch[self.task.name].double()
        known_BHW = (target_BHW > 0) & target_BHW.isfinite() & labelled(batch, self.task)[:, None, None]
        found_N = at_size(predictions["values"], *target_BHW.shape[-2:])[known_BHW].double()
        true_N = target_BHW[known_BHW]
        error_N = (found_N - true_N).abs()
        log_N = found_N.clamp(min=_LEAST).log() - true_N.log()
        factor_N = log_N.abs().exp()
        self.totals.update(
            count=known_BHW.sum(),
            absolute=error_N.sum(),
            relative=(error_N / true_N).sum(),
            squared=error_N.square().sum(),
            squared_log=log_N.square().sum(),
            within=torch.stack([(factor_N < _DELTA**power).sum() for power in (1, 2, 3)]),
        )

    def compute(self, per_class: bool = False) -> dict[str, torch.Tensor]:
        sums = self.totals.compute()
        count = sums["count"]
        if not count:
            return {}
        values = {
            "abs_err": sums["absolute"] / count,
            "rel_err": sums["relative"] / count,
            "rmse": (sums["squared"] / count).sqrt(),
            "rmse_log": (sums["squared_log"] / count).sqrt(),
            **{f"delta_{power + 1}": sums["within"][power] / count for power in range(3)},
        }
        return {name: value.float() for name, value in values.items()}

    def reset(self) -> None:
        self.totals.reset()
