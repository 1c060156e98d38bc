"""Means and sums over the ranks of a distributed run; one process gets its own tensor back."""

import torch.distributed as dist
from torch import Tensor


def num_ranks() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensor: Tensor, group: "dist.ProcessGroup | None" = None) -> Tensor:
    """Sum of a tensor over all ranks, without gradient.

    Args:
        tensor: the same shape on every rank.
        group: process group; the default one if none is given.
    """
    total = tensor.detach().clone()
    if num_ranks() > 1:
        dist.all_reduce(total, group=group)
    return total


def mean_over_ranks(tensor: Tensor, group: "dist.ProcessGroup | None" = None) -> Tensor:
    """Mean of a tensor over all ranks, without gradient.

    Args:
        tensor: the same shape on every rank.
        group: process group; the default one if none is given.
    """
    return sum_over_ranks(tensor, group) / num_ranks()
