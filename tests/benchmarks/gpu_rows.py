"""Rows of a GPU run: one JSON object a line, on the disk as soon as they are known, so that a stop loses nothing."""

import json
import math
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch


class Rows:
    """A file of rows.

    Args:
        path: the file; rows are appended.
        device: where the run is made.
    """

    def __init__(self, path: Path, device: str) -> None:
        self.path = path
        self.device = torch.device(device)
        self.failed: list[str] = []
        card = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else platform.machine()
        self.where = {"device": card, "torch": torch.__version__, "rehearsal": self.device.type != "cuda"}
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, part: str, **values: Any) -> None:
        """Write one row.

        Args:
            part: the part of the run.
            values: what was measured.
        """
        row = {"part": part, **{name: _short(value) for name, value in values.items()}, **self.where}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"{time.strftime('%H:%M:%S')} {json.dumps(row)}", flush=True)

    @contextmanager
    def guard(self, part: str, **values: Any) -> Iterator[None]:
        """What fails inside becomes a row, and the run continues.

        Args:
            part: the part of the run.
            values: what was to be measured.
        """
        try:
            yield
        except Exception as error:  # noqa: BLE001, all that may go wrong on a machine that nobody has tried
            traceback.print_exc()
            self.failed.append(part)
            self.add(part, **values, error=f"{type(error).__name__}: {error}"[:500])


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all that was asked.

    Args:
        device: the device.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """Wall-clock seconds of some work, until the device has done it.

    Args:
        work: what to do.
        device: where.
    """
    wait_for(device)
    start = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - start


def median_seconds(work: Callable[[], Any], device: torch.device, rounds: int, warmup: int = 2) -> float:
    """Median seconds of some work.

    Args:
        work: what to do.
        device: where.
        rounds: how often it is timed.
        warmup: how often it is done before.
    """
    for _ in range(warmup):
        work()
    return median(seconds_of(work, device) for _ in range(rounds))


def peak_mb(work: Callable[[], Any], device: torch.device) -> float | None:
    """Peak memory of a GPU during some work in MB; None on a CPU.

    Args:
        work: what to do.
        device: where.
    """
    if device.type != "cuda":
        work()
        return None
    wait_for(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    wait_for(device)
    return torch.cuda.max_memory_allocated(device) / 2**20


def _short(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None
