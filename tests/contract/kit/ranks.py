"""Ranks of a gloo group inside Lightning's trainer, and what makes their steps comparable with those of one process."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import Tensor, nn

from mtl.data.sampling import EpochSampler

SAMPLES, STEPS = 4, 3  # of a batch of all ranks, and optimiser steps
NEAR_64 = 1e-13  # 2e-16 was measured on weights, 1e-15 on the state of a method


class Team(LightningEnvironment):
    """Ranks that stand already."""

    def __init__(self, rank: int, ranks: int) -> None:
        super().__init__()
        self.rank = rank
        self.set_global_rank(rank)
        self.set_world_size(ranks)

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def node_rank(self) -> int:
        return self.rank  # as nodes of one process

    def local_rank(self) -> int:
        return 0


@contextmanager
def double_precision() -> Iterator[None]:
    """Everything in 64 bits, also what says 32: rounding, which differs with the order of sums, is no excuse then."""
    single = Tensor.float
    torch.set_default_dtype(torch.float64)
    Tensor.float = Tensor.double  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        Tensor.float = single  # type: ignore[method-assign]


def without_batch_norm(part: nn.Module) -> None:
    for name, child in part.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(part, name, nn.GroupNorm(1, child.num_features))
        else:
            without_batch_norm(child)


def uneven() -> dict[str, set[int]]:
    """Which scenes keep the labels of a task, by their place in the order of the first epoch."""
    order = [index for _, index in EpochSampler(range(2 * SAMPLES * STEPS))]  # type: ignore[arg-type]
    even, odd = set(order[::2]), set(order[1::2])  # what rank 0 and rank 1 of two get; 0 and 2, 1 and 3 of four
    first = set(order[:8])
    return {
        "boxes": even | (odd - first),  # none on rank 1 in the first step
        "count": odd - set(order[8:12]),  # never on rank 0, and once on nobody
        "largest": set(order) - set(order[:3]),
        "parity": set(order),
    }
