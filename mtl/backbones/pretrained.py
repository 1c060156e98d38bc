"""Pretrained weights: whether a backbone that is built loads them, and filters for pictures of other channels.

They are not loaded where a checkpoint replaces all of them at once.
Shapes: O filters, I channels of the pictures here, J there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_wanted: ContextVar[bool] = ContextVar("pretrained weights are wanted", default=True)


def pretrained_wanted() -> bool:
    """Whether pretrained weights are to be loaded; without them a backbone has the same layers, with random weights."""
    return _wanted.get()


@contextmanager
def without_pretrained(unneeded: bool = True) -> Iterator[None]:
    """Build backbones without their pretrained weights, so that a trained run loads without a network.

    Args:
        unneeded: whether a checkpoint is going to replace them.
    """
    token = _wanted.set(not unneeded)
    try:
        yield
    finally:
        _wanted.reset(token)


def over_channels(weight_OJhw: Tensor, channels: int) -> Tensor:
    """Filters for pictures with another number of channels: their mean over the channels, scaled by J / I.

    A grey picture then gives what the same picture gave in J equal channels.

    Args:
        weight_OJhw: the filters, [O,J,h,w].
        channels: I.

    Returns:
        Filters [O,I,h,w].
    """
    mean_O1hw = weight_OJhw.mean(1, keepdim=True)
    return mean_O1hw.expand(-1, channels, -1, -1) * (weight_OJhw.shape[1] / channels)
