"""Small problems of a GPU, solved on the CPU; and numbers of the CPU, sent to a GPU without waiting for it.

A solver of K x K numbers launches thousands of kernels on a GPU (UPGrad with K = 4: 2,832 operations and 137 linear
systems; CAGrad: 17,633), since it may not look at its numbers to see that it has finished, and an eigendecomposition
waits for the GPU anyway. On the CPU the same takes well below a millisecond, after one wait for the Gramian.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

P = ParamSpec("P")
R = TypeVar("R")

moved_from = {"cuda"}  # kinds of devices that do not solve their own problems


def on_host(solve: Callable[P, R]) -> Callable[P, R]:
    """A solver that does its work on the CPU when its tensors lie on a GPU; its results lie beside its arguments.

    Args:
        solve: a function of tensors and plain values to tensors.
    """

    @wraps(solve)
    def solved(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        if device.type not in moved_from:
            return solve(*args, **kwargs)
        args, kwargs = tree_map_only(Tensor, _to_host, (args, kwargs))
        found: R = tree_map_only(Tensor, lambda tensor: tensor.to(device, non_blocking=True), solve(*args, **kwargs))
        return found

    return solved


def numbers_on(device: torch.device, numbers: Sequence[Any], dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor on a device; `torch.tensor` with a device waits until a GPU has done all that was asked.

    Args:
        device: where they are needed.
        numbers: any that `torch.tensor` takes.
        dtype: by the numbers where not given.
    """
    return torch.tensor(numbers, dtype=dtype).to(device, non_blocking=True)


def _to_host(tensor: Tensor) -> Tensor:
    return tensor.cpu()
