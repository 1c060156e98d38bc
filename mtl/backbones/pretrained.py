"""Whether a backbone that is built loads pretrained weights: not where a checkpoint replaces all of them at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
