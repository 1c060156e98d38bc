"""Normalisers over all ranks, so that a rank with few labels does not weigh as much as a full one.

DDP averages the gradients of the ranks. A sum divided by the *mean count per rank* therefore gives exactly the gradient
of one process with the whole batch, whatever the spread of the labels.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def global_count(count: Tensor) -> Tensor:
    """Mean over ranks of a local count, at least 1 / (number of ranks): what a local sum must be divided by.

    Args:
        count: how many labels, boxes or positives this rank holds, scalar.

    Returns:
        Float scalar without gradient; equal on every rank. One process: `max(count, 1)`.
    """
    total = count.detach().to(torch.float32, copy=True)
    ranks = 1
    # validation needs no common normaliser, and its ranks may hold unequal numbers of batches: a collective would hang
    if torch.is_grad_enabled() and dist.is_available() and dist.is_initialized():
        ranks = dist.get_world_size()
        dist.all_reduce(total)
    return total.clamp(min=1.0) / ranks


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the labelled samples of all ranks; an exact zero with gradient where there is none.

    Args:
        values: a finite loss of every sample, [B]; also of those without a label.
        mask: which samples count, bool [B].

    Returns:
        Scalar loss.
    """
    return (values * mask).sum() / global_count(mask.sum())
