"""Errors and concordance of a number for every step.

Source of `ccc`: Lin, "A Concordance Correlation Coefficient to Evaluate Reproducibility", Biometrics 1989. Emotion over
time is judged by it over all steps of a set; the mean over recordings is another number.
"""

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals
from mtl.targets.sequence_regression import SequenceRegression
from mtl.task import Task

SUMS = ("count", "absolute", "squares", "ours", "theirs", "ours_2", "theirs_2", "both")


class SequenceRegressionMetrics(TaskMetrics):
    """`mae` and `rmse` in the unit of the target, and `ccc`: 1 where every step is right, 0 for a constant.

    `ccc` is left out where the targets are all equal. Every annotated step counts as much as any other.

    Args:
        task: a task of kind `sequence_regression`.
    """

    lower_is_better = frozenset({"mae", "rmse"})

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.target = SequenceRegression(task)
        self.totals = Totals(dict.fromkeys(SUMS, 1))

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_BL = batch[self.task.name]
        known_BL = torch.isfinite(target_BL) & labelled(batch, self.task)[:, None]
        ours = self.target.at_target(predictions, batch)[known_BL].double()
        theirs = target_BL[known_BL].double()
        error = ours - theirs
        self.totals.update(
            count=known_BL.sum(),
            absolute=error.abs().sum(),
            squares=error.square().sum(),
            ours=ours.sum(),
            theirs=theirs.sum(),
            ours_2=ours.square().sum(),
            theirs_2=theirs.square().sum(),
            both=(ours * theirs).sum(),
        )

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        total = {name: value.squeeze() for name, value in self.totals.compute().items()}
        count = total["count"]
        if not count:
            return {}
        mean = {name: value / count for name, value in total.items()}
        metrics = {"mae": mean["absolute"], "rmse": mean["squares"].sqrt()}
        spread, spread_ours = (mean[f"{who}_2"] - mean[who].square() for who in ("theirs", "ours"))
        if spread > 1e-12 * mean["theirs_2"]:
            covariance = mean["both"] - mean["ours"] * mean["theirs"]
            metrics["ccc"] = 2 * covariance / (spread + spread_ours + (mean["ours"] - mean["theirs"]).square())
        return {name: value.float() for name, value in metrics.items()}

    def reset(self) -> None:
        self.totals.reset()
