"""Peak memory of this process so far."""

import sys

import torch


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak memory: PyTorch's allocation on a GPU, else this process's resident memory; `None` on Windows.

    Args:
        device: where the model is.

    Returns:
        MB of 2^20 bytes.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere
