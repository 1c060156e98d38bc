"""The most memory that was in use so far."""

import sys

import torch


def peak_memory_mb(device: torch.device) -> float | None:
    """Of a GPU what PyTorch had allocated on it, else of this whole process; `None` on Windows, which does not tell.

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
