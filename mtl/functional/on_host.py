"""Solve small GPU problems on the CPU, and send numbers to a GPU without a sync.

On a GPU, a solver of K x K numbers launches thousands of kernels (UPGrad with K = 4: 2,832 operations and 137 linear
systems; CAGrad: 17,633), because it cannot check convergence without a sync; an eigendecomposition syncs anyway. On the
CPU, the same work takes well below a millisecond, after one sync for the Gramian.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

P = ParamSpec("P")
R = TypeVar("R")

moved_from = {"cuda"}  # device types whose problems are solved on the CPU


def on_host(solve: Callable[P, R]) -> Callable[P, R]:
    """Decorator for a solver: run it on the CPU if its tensors are on a GPU, and move the results back to the GPU.

    Args:
        solve: a function of tensors and plain values to tensors.
    """

    @wraps(solve)
    def solved(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        if device.type not in moved_from:
            return solve(*args, **kwargs)
        args, kwargs = tree_map_only(Tensor, _to_host, (args, kwargs))
        results: R = tree_map_only(Tensor, lambda tensor: tensor.to(device, non_blocking=True), solve(*args, **kwargs))
        return results

    return solved


def numbers_on(device: torch.device, numbers: Sequence[Any], dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor on a device, without a sync; `torch.tensor(..., device=...)` syncs with a GPU.

    Args:
        device: device of the result.
        numbers: anything that `torch.tensor` accepts.
        dtype: dtype of the result; inferred from the numbers by default.
    """
    return torch.tensor(numbers, dtype=dtype).to(device, non_blocking=True)


def read_on_host(tensor: Tensor) -> Tensor:
    """A tensor on the CPU, after a sync if it is on a GPU: for checks that are made once.

    Args:
        tensor: any tensor.
    """
    return _to_host(tensor) if tensor.device.type in moved_from else tensor


def _to_host(tensor: Tensor) -> Tensor:
    return tensor.cpu()
