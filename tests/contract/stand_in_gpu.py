"""A device that cannot be asked: tensors without numbers, at whose questions a program on a GPU would wait.

`meta` tensors have shapes, types and a device of their own, so a training step runs on them as on a GPU, up to the
first question that only numbers answer. `asks_nothing()` names such questions, and copies that wait, by line.
"""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mtl.functional import on_host

DEVICE = torch.device("meta")
QUESTIONS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "is_nonzero", "equal", "item"}
INDEXING = {"index", "index_put_", "_index_put_impl_"}


class Waits(AssertionError):
    """The host would wait here for the GPU."""


@contextlib.contextmanager
def asks_nothing(monkeypatch: Any) -> Iterator[None]:
    """Fail where the code inside asks the stand-in for a number, or copies to or from it and waits.

    Args:
        monkeypatch: pytest's.
    """
    with monkeypatch.context() as patch, _Watch():
        for name in ("tensor", "as_tensor"):
            patch.setattr(torch, name, _no_numbers(getattr(torch, name)))
        yield


def as_a_gpu(monkeypatch: Any) -> None:
    """Let the stand-in pass for a GPU: solvers work on the host, on ones, and random numbers need no generator.

    Args:
        monkeypatch: pytest's.
    """
    real = torch.autocast

    def autocast(device_type: str, *args: Any, **options: Any) -> Any:
        return contextlib.nullcontext() if device_type == DEVICE.type else real(device_type, *args, **options)

    monkeypatch.setattr(torch, "autocast", autocast)
    made, none = torch.Generator, SimpleNamespace(manual_seed=lambda seed: None)
    monkeypatch.setattr(torch, "Generator", lambda device="cpu": none if device == DEVICE else made(device))
    monkeypatch.setattr(on_host, "moved_from", {DEVICE.type})
    monkeypatch.setattr(on_host, "_to_host", lambda tensor: torch.ones(tensor.shape, dtype=tensor.dtype))


@contextlib.contextmanager
def counters_are_read(monkeypatch: Any) -> Iterator[None]:
    """The first step of a run may read a counter; here it reads 0.

    Args:
        monkeypatch: pytest's.
    """
    with monkeypatch.context() as patch:
        patch.setattr(Tensor, "__int__", lambda tensor: 0 if tensor.is_meta else int(tensor.item()))
        yield


class _Watch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").split(".")[0]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        if name == "_to_copy":
            there = torch.device(kwargs.get("device") or args[0].device).type
            if there != args[0].device.type and not kwargs.get("non_blocking"):
                raise Waits(f"a copy from {args[0].device.type} to {there} waits")
        elif name == "copy_":
            if len(devices) > 1 and not (len(args) > 2 and args[2]):
                raise Waits("a copy between devices waits")
        elif DEVICE.type in devices:
            if name in QUESTIONS:
                raise Waits(f"{name} asks for a number")
            if name in INDEXING and any(_is_mask(leaf) for leaf in tree_leaves(args[1])):
                raise Waits("indexing by a mask asks how many there are")
            if len(devices) > 1 and any(tensor.ndim for tensor in tensors if tensor.device.type == "cpu"):
                raise Waits(f"{name} takes tensors of two devices")
        return func(*args, **kwargs)


def _no_numbers(make: Any) -> Any:
    def made(data: Any, *args: Any, **options: Any) -> Tensor:
        device = torch.device(options.get("device") or "cpu")
        if device.type == DEVICE.type and not isinstance(data, Tensor):
            raise Waits(f"numbers are sent to the device, which waits: {data!r}")
        tensor: Tensor = make(data, *args, **options)
        return tensor

    return made


def _is_mask(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.dtype == torch.bool
