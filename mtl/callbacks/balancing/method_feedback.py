"""Loss statistics passed to balancing methods: means over an epoch, and a batch's losses after the step.

Shapes: K tasks.
"""

from collections.abc import Sequence

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from mtl.batch import Batch
from mtl.distributed.dtensor import let_go
from mtl.distributed.ranks import mean_over_ranks
from mtl.functional.on_host import numbers_on
from mtl.module import MultiTaskLightningModule


class EpochLosses:
    """Mean loss of every task over the batches of an epoch in which it had a label and a finite loss."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None  # [2,K]: sum of the losses, and how many

    def add(self, losses_K: Tensor, present: Sequence[bool] | None) -> None:
        """One more batch.

        Args:
            losses_K: without gradient.
            present: which tasks had a label; `None` for all.
        """
        counted_K = losses_K.isfinite()
        if present is not None:
            counted_K = counted_K & numbers_on(losses_K.device, present)
        both = torch.stack((torch.where(counted_K, losses_K, 0.0), counted_K.to(losses_K)))
        self.sums = both if self.sums is None else self.sums + both

    def take(self) -> Tensor | None:
        """The means [K], NaN for a task that was not there, and a new start; `None` if there was no batch."""
        sums, self.sums = self.sums, None
        return None if sums is None else sums[0] / sums[1]


def reevaluate_losses(trainer: Trainer, module: MultiTaskLightningModule, batch: Batch) -> Tensor:
    """Losses [K] of the same batch on all ranks after the step, without dropout and without moving batch statistics.

    Args:
        trainer: says the precision.
        module: the loop.
        batch: the batch of the step.
    """
    modes = [(part, part.training) for part in module.model.modules()]
    # those that a user keeps in evaluation mode, with frozen statistics, stay there
    norms = [part for part, training in modes if training and isinstance(part, nn.modules.batchnorm._NormBase)]
    counts = [norm.num_batches_tracked for norm in norms]
    kept = [
        (norm.momentum, None if count is None else count.clone()) for norm, count in zip(norms, counts, strict=True)
    ]
    module.model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 0.0
    with trainer.precision_plugin.train_step_context():
        with torch.no_grad():
            outputs = module.model(batch)
        # no graph is made; but the heads take the counts of all ranks only when gradients are on
        losses = module.model.losses(outputs, batch)
    let_go(module)
    for part, mode in modes:
        part.training = mode
    for norm, (momentum, count) in zip(norms, kept, strict=True):
        norm.momentum = momentum
        if count is not None and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.copy_(count)
    return mean_over_ranks(torch.stack([loss.detach().float() for loss in losses.values()]))
