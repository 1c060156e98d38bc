from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_type_hints

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.optim import Optimizer

from mtl.config.parsing import new_parser
from mtl.config.schema import Place, describe, expected_class, find_class, parameters, signature
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


def test_whole_numbers_stay_whole_whichever_union_python_made_first() -> None:
    class Limits:
        """Takes numbers."""

        def __init__(self, batches: Union[float, int, None] = None, share: float | int = 1.0) -> None:  # noqa: UP007
            """Take them."""

    signature(Limits)
    parser = new_parser()
    parser.add_class_arguments(Limits, "limits")
    for written, kind in ((1, int), ("1", int), (1.0, float), ("0.5", float)):
        found = parser.parse_object({"limits": {"batches": written, "share": written}}).limits
        assert (type(found.batches), type(found.share)) == (kind, kind)
        assert f"share: {found.share}" in parser.dump(
            parser.parse_object({"limits": {"share": written}}), format="yaml"
        )


def test_limits_of_the_trainer_count_batches() -> None:
    signature(Trainer)
    for name in ("limit_train_batches", "limit_val_batches", "overfit_batches", "val_check_interval"):
        options = get_args(get_type_hints(Trainer.__init__)[name])
        assert options.index(int) < options.index(float)
