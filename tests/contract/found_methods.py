"""Which balancing methods the contract tests look at: all in `mtl.balancing`, or the one that `--method` names."""

import os
from typing import TypeVar

import pytest
import torch

import mtl.balancing
from mtl.balancing.method import Method
from mtl.discovery import concrete_subclasses

T = TypeVar("T", bound=Method)


def found(base: type[T]) -> list[type[T]]:
    """The methods of one family.

    Args:
        base: the family.
    """
    named = os.environ.get("MTL_TEST_METHOD")  # set by `--method`
    return [
        cls
        for cls in concrete_subclasses(base)
        if f"{cls.__module__}.{cls.__qualname__}" == named
        or (not named and cls.__module__.startswith(mtl.balancing.__name__))
    ]


def example(cls: type[T], num_tasks: int = 4) -> T:
    """A method; the test is skipped where a package is missing.

    Args:
        cls: its class.
        num_tasks: number of tasks K; the runs of `balanced_run` have four.
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
