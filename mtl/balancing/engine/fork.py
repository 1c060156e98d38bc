"""The junction between the shared features and the heads: where balancing methods meet autograd.

`fork` hands every head its own view of the features; in backward autograd delivers the gradients of all K tasks there
to one node at once, which passes a combined gradient on to the trunk: one forward, one backward, no retained graph.
`deliver` goes the other way round: gradients that were computed beforehand reach their tensors in the ordinary
backward, so that accumulation, loss scaling and DDP's hooks see them like any other.
Shapes: K tasks, L levels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtl.distributed.dtensor import as_shard_of, own_shard

Combine = Callable[[list[list[Tensor | None]]], Sequence[Tensor | None]]  # K x L gradients -> L gradients


def fork(levels: Sequence[Tensor], num_tasks: int, combine: Combine) -> list[list[Tensor]]:
    """A view of every level for each task; their gradients meet in `combine`.

    Args:
        levels: the shared features, L tensors.
        num_tasks: number of tasks K.
        combine: called once in backward with the gradients of every task at every level (`None` where a task does not
            touch a level); returns the gradient of every level.

    Returns:
        K lists of L tensors.
    """
    views = _Fork.apply(combine, num_tasks, *levels)
    return [list(views[task * len(levels) : (task + 1) * len(levels)]) for task in range(num_tasks)]


def deliver(tensors: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
    """A scalar 0 whose gradient with respect to each tensor is the one given.

    Args:
        tensors: what receives a gradient.
        gradients: the gradient of each; `None` counts as zero.
    """
    out: Tensor = _Deliver.apply(list(gradients), *tensors)
    return out


def watch_scale(total: Tensor, seen: Callable[[Tensor], None]) -> Tensor:
    """The same scalar; in backward `seen` gets the factor that all gradients carry, before any other node runs.

    Loss scaling and accumulation multiply the scalar later, each in its own way; this is what they come to.

    Args:
        total: the scalar that backward starts from.
        seen: called with the factor, a scalar tensor.
    """
    out: Tensor = _WatchScale.apply(seen, total)
    return out


class _Fork(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, combine: Combine, num_tasks: int, *levels: Tensor) -> tuple[Tensor, ...]:
        ctx.combine, ctx.num_tasks = combine, num_tasks
        ctx.set_materialize_grads(False)
        return tuple(level.view_as(level) for _ in range(num_tasks) for level in levels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        width = len(gradients) // ctx.num_tasks
        rows = [list(gradients[task * width : (task + 1) * width]) for task in range(ctx.num_tasks)]
        return (None, None, *ctx.combine(rows))


class _Deliver(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradients: list[Tensor | None], *tensors: Tensor) -> Tensor:
        ctx.gradients = gradients
        # detached: of a shard not the whole, but the shard
        ctx.likes = [tensor.detach() for tensor in tensors]
        return torch.zeros((), device=tensors[0].device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        out = []
        for gradient, like in zip(ctx.gradients, ctx.likes, strict=True):
            if gradient is None:
                out.append(torch.zeros_like(like))
            else:
                out.append(as_shard_of((own_shard(gradient) * scale).to(like.dtype), like))
        return (None, *out)


class _WatchScale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, seen: Callable[[Tensor], None], total: Tensor) -> Tensor:
        ctx.seen = seen
        return total.view_as(total)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[None, Tensor]:
        ctx.seen(scale)
        return None, scale
