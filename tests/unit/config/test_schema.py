from collections.abc import Callable, Iterable
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from mtl.backbones.backbone import Backbone
from mtl.cli.config_sections import make_schema
from mtl.config.merge import Config
from mtl.config.schema import describe, expected_class, find_class, literals, parameters
from mtl.config.yaml_lines import Origin
from mtl.heads.head import Head


def schema(values: dict[str, Any]) -> Any:
    return make_schema(Config(values))


def test_it_knows_which_class_stands_where() -> None:
    known = schema(
        {"model": {"heads": {"boxes": {"class_path": "CenterNetHead"}}}, "data": {"class_path": "DigitScenes"}}
    )
    assert expected_class(known.expected(("model", "backbone"))) is Backbone
    assert expected_class(known.expected(("model", "heads", "boxes"))) is Head
    assert known.chosen(("model", "heads", "boxes")).__name__ == "CenterNetHead"
    assert known.chosen(("data", "init_args")).__name__ == "DigitScenes"
    assert expected_class(known.expected(("model", "optim", "optimizer"))) is Optimizer
    assert known.expected(("data", "init_args", "num_train")) is int
    assert known.expected(("nowhere", "at", "all")) is None


def test_arguments_that_the_code_gives_are_not_offered() -> None:
    known = schema({"model": {"heads": {"boxes": {"class_path": "CenterNetHead"}}}})
    names = known.names(("model", "heads", "boxes", "init_args"))
    assert "level" in names
    assert not {"task", "features"} & set(names)
    assert "tasks" not in known.names(("model",))


def test_null_takes_away_an_entry_and_leaves_an_argument() -> None:
    values: dict[str, Any] = {
        "model": {"heads": {"a": None, "b": {"class_path": "CenterNetHead"}}, "loss_weights": {"a": None, "b": 1.0}},
        "data": {"class_path": "DigitScenes", "init_args": {"eval_batch_size": None}},
        "name": None,
    }
    config = Config(values)
    paths = [
        ("model", "heads", "a"),
        ("model", "loss_weights", "a"),
        ("data", "init_args", "eval_batch_size"),
        ("name",),
    ]
    config.origins = dict.fromkeys(paths, Origin("file"))
    make_schema(config).drop_removed()
    assert list(values["model"]["heads"]) == ["b"]
    assert values["model"]["loss_weights"] == {"b": 1.0}
    assert values["data"]["init_args"] == {"eval_batch_size": None}
    assert values["name"] is None


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
    assert literals(list[Literal["a", "b"]] | None) == ["a", "b"]
