"""`EvalLoss`: the loss of a task over a whole evaluation.

A loss is a sum divided by what it counts: samples, boxes, tokens, pixels. The mean of the losses of batches depends on
which samples share a batch; here the sums are added, and divided by all that was counted. So the loss is the one of the
whole set as a single batch, whatever the size of the batches and the number of ranks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.metrics.totals import Totals


class EvalLoss(Totals):
    """Sum over sum. A loss of several terms that count different things is weighted by its labelled samples."""

    def __init__(self) -> None:
        super().__init__({"summed": 1, "count": 1, "labelled": 1})

    def add(self, loss: Tensor, counts: Sequence[Tensor], num_labelled: Tensor) -> None:
        """Take in the loss of one batch.

        Args:
            loss: scalar; without meaning if no sample is labelled.
            counts: what the loss was divided by, as `counts_taken` records it.
            num_labelled: samples of the batch that carry a label of the task.
        """
        num_labelled = num_labelled.double()
        count = counts[0].to(num_labelled) if len(counts) == 1 else num_labelled
        # infinity for NaN: a sum over ranks must show it
        loss = loss.detach().to(num_labelled).nan_to_num(float("inf"), float("inf"), float("-inf"))
        summed = torch.where(num_labelled > 0, loss * count.clamp(min=1), 0.0)
        self.update(summed=summed, count=torch.where(num_labelled > 0, count, 0.0), labelled=num_labelled)

    def mean(self) -> Tensor | None:
        """The loss over all ranks, on the CPU; None if no sample had a label."""
        totals = {name: value.squeeze() for name, value in self.compute().items()}
        return (totals["summed"] / totals["count"].clamp(min=1)).float() if totals["labelled"] else None
