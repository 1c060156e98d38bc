from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from mtl.config.schema import Place, describe, expected_class, find_class, parameters
from mtl.heads.head import Head
from mtl.module import MultiTaskLightningModule


def test_a_place_knows_what_is_built_there() -> None:
    heads = Place(parameters(MultiTaskLightningModule)["heads"])
    assert (heads.bases, heads.items, heads.function) == ((), (), False)
    head = Place(heads.values)
    assert (head.bases, head.given) == ((Head,), 2)
    assert expected_class(list[Head] | None) is Head
    assert expected_class(Callable[[Iterable[Any]], Optimizer]) is Optimizer
    assert Place(Path | str | None).path


@pytest.mark.parametrize(
    "annotation", [Callable, Callable[[int], int], Callable[..., Any] | None, str | Callable[[int], bool]]
)
def test_a_place_for_a_function_is_known(annotation: Any) -> None:
    assert Place(annotation).function
    assert not Place(annotation).bases


def test_parameters_follow_kwargs_to_the_parent() -> None:
    class Parent:
        def __init__(self, first: int, second: str = "") -> None: ...

    class Child(Parent):
        def __init__(self, third: float, **rest: Any) -> None: ...

    class Closed(Parent):
        def __init__(self, third: float) -> None: ...

    assert parameters(Child) == {"third": float, "first": int, "second": str}
    assert list(parameters(Closed)) == ["third"]


def test_short_names_full_names_and_nothing_are_found() -> None:
    assert find_class("SGD", Optimizer) is torch.optim.SGD
    assert find_class("CenterNetHead", None).__name__ == "CenterNetHead"  # type: ignore[union-attr]
    assert find_class("torch.optim.SGD", Optimizer) is torch.optim.SGD
    assert find_class("torch.nn.Linear", None) is None  # no config may name it
    assert [find_class(name, nn.Module) for name in ("Nope", "torch.nope.X", "torch.nn.Nope", "os.PathLike")] == [
        None
    ] * 4


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (float | None, "a number"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (Literal["a"] | Literal["b", 3] | None, "one of a, b, 3"),
        (list[int] | str, "a list (a whole number) or text"),
        (dict[str, float], "names with a number each"),
        (Callable[[Iterable[Any]], Optimizer] | None, "a Optimizer"),
    ],
)
def test_annotations_are_put_into_words(annotation: Any, words: str) -> None:
    assert describe(annotation) == words


def test_words_of_a_literal_are_listed() -> None:
    assert Place(list[Literal["a", "b"]] | None).literals == ["a", "b"]
