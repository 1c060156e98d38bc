"""Every test of this folder is marked `gpu`, and skipped where there is neither a GPU nor a rehearsal."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.gpu.place import DEVICE, HERE

# a resumed run is compared bit by bit; read when the first product is made
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
HERE_REASON = "needs a CUDA device; MTL_GPU_REHEARSAL=cpu runs the same on the CPU"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.skipif(not HERE, reason=HERE_REASON))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One line of JSON for each test as it ends, in the file that MTL_GPU_ROWS names."""
    path, ended = os.environ.get("MTL_GPU_ROWS"), report.when == "call" or not report.passed
    if path and ended and "PYTEST_XDIST_WORKER" not in os.environ:
        row = {"part": "tests", "test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 2)}
        if report.failed:
            row["error"] = str(report.longrepr)[-2000:]
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@pytest.fixture
def device() -> torch.device:
    return DEVICE


@pytest.fixture(autouse=True)
def _exact_and_tidy() -> Iterator[None]:
    """Products of 32 bits, as on the CPU; nothing is left to the next test."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before
    torch.use_deterministic_algorithms(False)
    torch.compiler.reset()
    if dist.is_initialized():
        dist.destroy_process_group()
