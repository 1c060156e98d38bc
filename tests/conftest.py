"""What every test shares: one thread, fixed seeds, no network logger, and two processes that talk over gloo."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

os.environ.setdefault("WANDB_MODE", "offline")
# pictures are drawn without a screen
os.environ.setdefault("MPLBACKEND", "agg")

RunRanks = Callable[..., list[Any]]


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run_ranks(tmp_path: Path) -> RunRanks:
    """`run_ranks(work, *args, ranks=2)`: call `work(rank, *args)` in processes joined by gloo; their results in order.

    `work` must be a function at the top level of its module, and its result must survive `torch.save`.
    """

    def run(work: Callable[..., Any], *args: Any, ranks: int = 2) -> list[Any]:
        mp.spawn(_rank, (work, args, ranks, str(tmp_path)), nprocs=ranks)
        return [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(ranks)]

    return run


def _rank(rank: int, work: Callable[..., Any], args: tuple[Any, ...], ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    try:
        torch.save(work(rank, *args), f"{folder}/rank{rank}.pt")
    finally:
        dist.destroy_process_group()
