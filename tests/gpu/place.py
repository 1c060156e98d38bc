"""Where the tests of this folder run: on a CUDA device, or, to find silly mistakes without one, on the CPU.

Run: pytest -m gpu tests/gpu, or MTL_GPU_REHEARSAL=cpu pytest -m gpu tests/gpu
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

REHEARSAL = os.environ.get("MTL_GPU_REHEARSAL", "")
HERE = bool(REHEARSAL) or torch.cuda.is_available()
DEVICE = torch.device(REHEARSAL or "cuda")
TRAINER = {"accelerator": "cpu" if REHEARSAL else "gpu", "devices": 1}
BACKEND = "gloo" if REHEARSAL else "nccl"

needs_cuda = pytest.mark.skipif(DEVICE.type != "cuda", reason="a CPU has nothing to wait for, and no scaled 16 bits")


@contextmanager
def waits_counted() -> Iterator[list[str]]:
    """Where the host waited for the GPU inside, as `file:line`; nothing on a CPU."""
    found: list[str] = []
    if DEVICE.type != "cuda":
        yield found
        return
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
            found += [f"{w.filename}:{w.lineno}" for w in seen if "synchronizing CUDA" in str(w.message)]


class CountWaits(Callback):
    """Counts the waits of the steps from the second on; the last of the callbacks, so that it is asked last.

    The end of a batch is not seen: other callbacks have had theirs by then, and it is the trainer's logging.
    """

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.steps = 0
        self._open: Any = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx > 0:
            self._open = waits_counted()
            self._found = self._open.__enter__()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None
            self.waits += self._found
            self.steps += 1
