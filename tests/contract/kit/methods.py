"""Balancing methods built for a test."""

from typing import TypeVar

import pytest
import torch

from mtl.balancing.method import Method

T = TypeVar("T", bound=Method)


def example(cls: type[T], num_tasks: int = 4) -> T:
    """A method; the test is skipped where a package is missing.

    Args:
        cls: its class.
        num_tasks: number of tasks K; the runs of `kit.runs` have four.
    """
    try:
        return cls.example(num_tasks)
    except ImportError as error:
        pytest.skip(str(error))


def build(cls: type[T], num_tasks: int, dtype: torch.dtype | None = None) -> T:
    """A method that knows its tasks.

    Args:
        cls: its class.
        num_tasks: number of tasks K.
        dtype: of its state; as the method makes it by default.
    """
    method = example(cls, num_tasks)
    method.build(num_tasks)
    return method if dtype is None else method.to(dtype)
