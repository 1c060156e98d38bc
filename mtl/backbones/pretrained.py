"""Whether backbones load pretrained weights: not where a checkpoint, which holds every weight, is loaded afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WANTED: ContextVar[bool] = ContextVar("_WANTED", default=True)


@contextmanager
def without_pretrained() -> Iterator[None]:
    """Build backbones with random weights, whatever their arguments say, so that nothing is downloaded."""
    token = _WANTED.set(False)
    try:
        yield
    finally:
        _WANTED.reset(token)


def pretrained_wanted() -> bool:
    """Whether a backbone that is built now loads the weights that its arguments name."""
    return _WANTED.get()
