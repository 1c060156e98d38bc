"""Means, sums and parts over the ranks of a distributed run; one process gets its own tensor back.

Shapes: K tasks, B samples, D values of a sample, P parameters.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
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
    if num_ranks() == 1:
        return tensor.detach()
    total = tensor.detach().clone()
    dist.all_reduce(total, group=group)
    return total


def mean_over_ranks(tensor: Tensor, group: "dist.ProcessGroup | None" = None) -> Tensor:
    """Mean of a tensor over all ranks, without gradient.

    Args:
        tensor: the same shape on every rank.
        group: process group; the default one if none is given.
    """
    return sum_over_ranks(tensor, group) / num_ranks()


def each_rank(tensor: Tensor, group: "dist.ProcessGroup | None" = None) -> Tensor:
    """The tensors of all ranks under each other, without gradient, [ranks, ...].

    Args:
        tensor: the same shape on every rank.
        group: process group; the default one if none is given.
    """
    tensor = tensor.detach().contiguous()
    if num_ranks() == 1:
        return tensor[None]
    everyone = tensor.new_empty(num_ranks(), *tensor.shape)
    _all_gather(everyone.flatten(), tensor.flatten(), group=group)
    return everyone


def average_over_ranks_(tensor: Tensor, group: "dist.ProcessGroup | None" = None) -> None:
    """Replace a tensor by its mean over all ranks.

    Args:
        tensor: the same shape on every rank.
        group: process group; the default one if none is given.
    """
    if num_ranks() > 1:
        dist.all_reduce(tensor, group=group)
        tensor /= num_ranks()


def own_columns(rows: Iterable[Tensor], group: "dist.ProcessGroup | None" = None) -> Tensor:
    """The mean over ranks of this rank's share of the columns, [K, P / ranks]: one reduce-scatter of each row.

    A row is on its way while the next one is made, and is let go when that one is done.

    Args:
        rows: K tensors [P], of the same length on every rank, P a multiple of the ranks; at least one.
        group: process group; the default one if none is given.
    """
    ranks, own, under_way = num_ranks(), [], None
    for row_P in rows:
        if under_way is not None:
            under_way.wait()
        own.append(row_P.new_empty(len(row_P) // ranks))
        under_way = _reduce_scatter(own[-1], row_P, group=group, async_op=True)
    if under_way is not None:
        under_way.wait()
    return torch.stack(own) / ranks


def all_columns(own_P: Tensor, group: "dist.ProcessGroup | None" = None) -> Tensor:
    """The shares of all ranks one after the other, [P * ranks].

    Args:
        own_P: this rank's share, of the same length on every rank.
        group: process group; the default one if none is given.
    """
    return each_rank(own_P, group).flatten()


def gather_samples(rows_KBD: Tensor, group: "dist.ProcessGroup | None" = None) -> Tensor:
    """The samples of all ranks in the order in which one process would have them in its batch: dealt in turn.

    Args:
        rows_KBD: the same shape on every rank.
        group: process group; the default one if none is given.

    Returns:
        [K, B * ranks, D].
    """
    ranks = num_ranks()
    if ranks == 1:
        return rows_KBD
    parts = rows_KBD.new_empty(ranks * len(rows_KBD), *rows_KBD.shape[1:])
    _all_gather(parts, rows_KBD.contiguous(), group=group)
    return parts.view(ranks, *rows_KBD.shape).permute(1, 2, 0, 3).flatten(1, 2)


def largest_sizes(
    shapes: Sequence[torch.Size], device: torch.device, group: "dist.ProcessGroup | None" = None
) -> list[torch.Size]:
    """The largest size in every dimension among the ranks. The host waits for it.

    Args:
        shapes: of as many tensors, with as many dimensions, on every rank.
        device: where the group talks.
        group: process group; the default one if none is given.
    """
    if num_ranks() == 1:
        return list(shapes)
    sizes = torch.tensor([size for shape in shapes for size in shape], device=device)
    dist.all_reduce(sizes, dist.ReduceOp.MAX, group=group)
    found = iter(sizes.tolist())
    return [torch.Size(next(found) for _ in shape) for shape in shapes]


def own_samples(values_BD: Tensor) -> Tensor:
    """This rank's samples out of the samples of all ranks, as `gather_samples` orders them.

    Args:
        values_BD: [B * ranks, D].
    """
    return values_BD if num_ranks() == 1 else values_BD[dist.get_rank() :: num_ranks()]


def _all_gather(out: Tensor, own: Tensor, **options: Any) -> Any:
    # torch before 2.14 knows these two by older names, at which later versions warn
    return getattr(dist, "all_gather_single", dist.all_gather_into_tensor)(out, own, **options)


def _reduce_scatter(own: Tensor, everything: Tensor, **options: Any) -> Any:
    return getattr(dist, "reduce_scatter_single", dist.reduce_scatter_tensor)(own, everything, **options)
