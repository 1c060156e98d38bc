"""Predictions and targets of a whole evaluation as flat tensors, for metrics over all samples at once."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class PredictionsAndTargets(Metric):
    """Every prediction beside its target, over all ranks, also where a rank has none.

    States are flat float32: torchmetrics' gather fails as soon as one rank is empty and another holds rows or integers.
    """

    full_state_update = False
    update_called = True  # none at all are no mistake, and torchmetrics warns of them
    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("predictions", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Take in some pairs.

        Args:
            predictions: any shape.
            targets: the same shape; NaN where unknown.
        """
        self.predictions.append(predictions.detach().flatten().float())
        self.targets.append(targets.detach().flatten().float())

    def compute(self) -> tuple[Tensor, Tensor]:
        """All predictions and all targets, each flat and on the CPU."""
        empty = torch.zeros(0)
        return tuple(  # type: ignore[return-value]
            dim_zero_cat(state).cpu() if len(state) else empty for state in (self.predictions, self.targets)
        )
