"""Normalisers over all ranks, so that a rank with few labels does not weigh as much as a full one.

DDP averages the gradients of the ranks. A sum divided by the *mean count per rank* therefore gives exactly the gradient
of one process with the whole batch, whatever the spread of the labels.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

_lists: list[list[Tensor]] = []  # of the open `counts_taken`


@contextmanager
def counts_taken() -> Iterator[list[Tensor]]:
    """The counts of this rank that losses inside are divided by, in the order in which they are asked for."""
    counts: list[Tensor] = []
    _lists.append(counts)
    try:
        yield counts
    finally:
        _lists.pop()


def global_count(count: Tensor) -> Tensor:
    """Mean over ranks of a local count, at least 1 / (number of ranks): what a local sum must be divided by.

    Args:
        count: how many labels, boxes or positives this rank holds, scalar.

    Returns:
        Float scalar without gradient; equal on every rank. One process: `max(count, 1)`.
    """
    total = count.detach().to(torch.float32, copy=True)
    for counts in _lists:
        counts.append(count.detach())
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


def mean_over_ranks(sums: Tensor, count: Tensor) -> Tensor:
    """Mean over what all ranks hold, for a penalty on it, with the gradient that DDP's average makes right.

    One process with the whole batch has the same mean and the same gradient.

    Args:
        sums: sums over what this rank holds.
        count: over how much, in the shape of `sums` or one that broadcasts to it.

    Returns:
        The means, equal on every rank.
    """
    total, number = sums.detach().clone(), count.detach().to(sums.dtype, copy=True)
    ranks = 1
    # as in `global_count`: validation makes no collective
    if torch.is_grad_enabled() and dist.is_available() and dist.is_initialized():
        ranks = dist.get_world_size()
        dist.all_reduce(total)
        dist.all_reduce(number)
    # every rank computes the same penalty from these means, so it passes the gradient for all of them
    return (total + ranks * (sums - sums.detach())) / number.clamp(min=1)
