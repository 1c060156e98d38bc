"""The most memory that was in use."""

import torch

from mtl.runs.memory import peak_memory_mb


def test_it_grows_with_what_is_used_and_counts_megabytes() -> None:
    before = peak_memory_mb(torch.device("cpu"))
    held = torch.ones(128 * 2**20 // 4)  # 128 MB
    after = peak_memory_mb(torch.device("cpu"))
    if before is None or after is None:
        assert before is after  # Windows
    else:
        # a process that was larger before keeps that peak
        assert before <= after < before + 256
        assert after > 128
    assert len(held)
