import os
import signal
import time
from multiprocessing import get_context

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mtl.data.worker_signals import start_worker


class Numbers(Dataset[int]):
    """Its own process, then the numbers."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> int:
        return os.getpid() if index == 0 else index


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="no such system call")
def test_a_worker_goes_on_after_signals_of_others_and_ends_with_its_parent() -> None:
    loader = DataLoader(Numbers(), 1, num_workers=1, worker_init_fn=start_worker, prefetch_factor=1)
    batches = iter(loader)
    worker = int(next(batches))
    stranger = get_context("fork").Process(target=_send, args=(worker,))
    stranger.start()
    stranger.join()
    assert [int(batch) for batch in batches] == [1, 2, 3, 4, 5]
    started = time.monotonic()
    del batches
    assert time.monotonic() - started < 4


def _send(worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(worker, number)
    time.sleep(0.1)


def _ends_at_once() -> None:
    loader = DataLoader(Numbers(), 1, num_workers=1, worker_init_fn=start_worker, persistent_workers=True)
    next(iter(loader))
    loader._iterator._workers[0].terminate()  # type: ignore[union-attr]
    loader._iterator._workers[0].join(3)  # type: ignore[union-attr]
    os._exit(0 if loader._iterator._workers[0].exitcode == 0 else 1)  # type: ignore[union-attr]


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="no such system call")
def test_a_worker_ends_when_its_parent_says_so() -> None:
    parent = get_context("fork").Process(target=_ends_at_once)
    parent.start()
    parent.join(20)
    assert parent.exitcode == 0


def test_a_worker_keeps_the_random_numbers_of_its_seed() -> None:
    loader = DataLoader(Drawn(), 1, num_workers=1, worker_init_fn=start_worker)
    torch.manual_seed(0)
    first = [float(batch) for batch in loader]
    torch.manual_seed(0)
    assert [float(batch) for batch in loader] == first
    assert len(set(first)) == 2


class Drawn(Dataset[float]):
    """What torch draws in the worker."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> float:
        return torch.rand(()).item()
