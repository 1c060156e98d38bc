"""Gradients of parameters of which every rank holds a shard (FSDP2): backward leaves them as shards, averaged.

A graph through such a parameter ends at a gathered copy of it, which `torch.autograd.grad` does not know. An ordinary
backward gathers the weights again, and leaves on every rank its shard of the mean gradient.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def is_sharded(parameters: Iterable[Tensor]) -> bool:
    """Whether some of the tensors are shards.

    Args:
        parameters: parameters of a module.
    """
    return any(hasattr(parameter, "placements") for parameter in parameters)


def own_shard(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor; the tensor itself if it is whole.

    Args:
        tensor: a shard or a plain tensor.
    """
    shard: Any = tensor
    part: Tensor = shard.to_local() if hasattr(tensor, "placements") else tensor
    return part


def as_shard_of(part: Tensor, like: Tensor) -> Tensor:
    """A part that this rank computed, as a shard beside another tensor; the part itself if that one is whole.

    Args:
        part: what `own_shard` would give.
        like: the tensor that says how it is spread.
    """
    if not hasattr(like, "placements"):
        return part
    from torch.distributed.tensor import DTensor

    spread: Any = like
    out: Tensor = DTensor.from_local(
        part, spread.device_mesh, spread.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return out


def gathered(part: Tensor, like: Tensor) -> Tensor:
    """The whole tensor out of the parts of all ranks; the part itself if it is whole.

    Args:
        part: this rank's part.
        like: the tensor that says how it is spread.
    """
    spread: Any = as_shard_of(part, like)
    out: Tensor = spread.full_tensor() if hasattr(like, "placements") else part
    return out


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a tensor that every rank holds.

    Args:
        whole: the same on every rank.
        like: the tensor that says how it is spread.
    """
    if not hasattr(like, "placements"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    spread: Any = like
    whole = whole.to(like.device)
    return own_shard(distribute_tensor(whole, spread.device_mesh, spread.placements, src_data_rank=None))


def take_gradients(
    roots: Sequence[Tensor], gradients: Sequence[Tensor | None], leaves: Sequence[Tensor], retain_graph: bool = False
) -> list[Tensor | None]:
    """What a backward brings to leaves, shards or not; what was there before stays.

    Args:
        roots: where backward starts.
        gradients: the gradient of each.
        leaves: all leaves that the roots depend on.
        retain_graph: whether there is another backward through the same graph.

    Returns:
        The gradient of every leaf: this rank's, or a shard of the mean over the ranks.
    """
    before = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    torch.autograd.backward(roots, gradients, retain_graph=retain_graph)
    found = [leaf.grad for leaf in leaves]
    for leaf, gradient in zip(leaves, before, strict=True):
        leaf.grad = gradient
    return found


@contextmanager
def kept_gathered(module: nn.Module) -> Iterator[None]:
    """Gather a module's own weights once for all backward passes inside; its blocks gather theirs for each pass.

    Args:
        module: a module with shards, or a plain one.
    """
    for part in _sharding(module):
        part.set_reshard_after_backward(part is not module, recurse=False)
    try:
        yield
    finally:
        for part in _sharding(module):
            part.set_reshard_after_backward(True, recurse=False)
        let_go(module)


def let_go(module: nn.Module) -> None:
    """Forget gathered weights; the next forward gathers what the shards hold then, which a forward alone would not.

    Args:
        module: a module with shards, or a plain one.
    """
    for part in _sharding(module):
        part.reshard()


def _sharding(module: nn.Module) -> list[Any]:
    return [part for part in module.modules() if hasattr(part, "set_reshard_after_backward")]


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all tensors together, shards or not; with shards a sum over the ranks.

    Args:
        tensors: at least one.
    """
    whole = [tensor for tensor in tensors if not is_sharded([tensor])]
    shards = [own_shard(tensor) for tensor in tensors if is_sharded([tensor])]
    squares = [torch.stack(torch._foreach_norm(parts)).square().sum() for parts in (whole, shards) if parts]
    if shards:
        torch.distributed.all_reduce(squares[-1])
    return torch.stack(squares).sum().sqrt()


def share_weights(module: nn.Module) -> None:
    """Weights and buffers of rank 0 for all ranks, as DDP does it; shards are cut from them.

    Args:
        module: the same on every rank.
    """
    if torch.distributed.is_initialized():
        for value in [*module.parameters(), *module.buffers()]:
            torch.distributed.broadcast(value.detach(), 0)
