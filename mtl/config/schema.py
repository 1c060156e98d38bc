"""What a signature allows: the arguments of a class, their types, and the classes that each accepts.

The parser decides in the end; this reads the same signatures, so that a message can say what would have been right.
"""

import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any, Literal, Union

from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.optim import Optimizer

from mtl.config.import_policy import ImportRefused, is_allowed
from mtl.config.import_policy import find_class as allowed_class
from mtl.config.yaml_lines import KeyPath
from mtl.discovery import concrete_subclasses

_LISTS = (list, tuple, set, frozenset, Sequence, Iterable, Collection)
_DICTS = (dict, Mapping)
_PATHS = (PurePath, os.PathLike)
_FAMILIES = (nn.Module, LightningDataModule, Callback, Logger, Optimizer)
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "names with values"}


@dataclass(frozen=True)
class Schema:
    """The keys that a config may have, and their types.

    Args:
        sections: class or type of every top-level key. A class that cannot be built itself is chosen by `class_path`.
        linked: places whose values come from elsewhere, so that a config must leave them out.
        options: what else may stand on the command line, without dashes.
    """

    sections: Mapping[str, Any]
    linked: Collection[KeyPath] = ()
    options: Collection[str] = ()


class Place:
    """What an annotation lets a value be.

    Args:
        annotation: a type annotation.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        options = _options(annotation)
        self.anything = not options
        self.bases: tuple[type, ...] = ()  # what the objects are that a config describes here
        self.given = 0  # arguments that the code adds, such as the task of a head
        self.function = False  # one that returns no object of ours, so that a config cannot name it
        self.words: list[Any] = []
        self.values: Any = None  # annotation of the values of a dict
        self.items: tuple[Any, ...] = ()  # annotations of the items of a list; the last one repeats
        self.plain: set[Any] = set()
        for option in options:
            origin, arguments = typing.get_origin(option), typing.get_args(option)
            if Callable in (option, origin):
                made = Place(arguments[-1]).bases if arguments else ()
                self.bases += made
                self.function |= not made
                self.given = len(arguments[0]) if arguments and isinstance(arguments[0], list) else 0
            elif origin is Literal:
                self.words += arguments
            elif option in _DICTS or origin in _DICTS:
                self.values = arguments[1] if len(arguments) == 2 else Any
            elif option in _LISTS or origin in _LISTS:
                self.items = tuple(item for item in arguments if item is not ...) or (Any,)
            elif isinstance(option, type) and option.__module__ != "builtins" and not _is_plain(option):
                self.bases += (option,)
            else:
                self.plain.add(option)
        self.path = any(isinstance(kind, type) and issubclass(kind, _PATHS) for kind in self.plain)

    @property
    def literals(self) -> list[str]:
        """The words that it lists, itself or for the items of a list."""
        return [str(word) for word in self.words] + [word for item in self.items for word in Place(item).literals]


def expected_class(annotation: Any) -> type | None:
    """The class an annotation asks for, looking through Optional, list and factories.

    Args:
        annotation: a type annotation.
    """
    found = Place(annotation)
    return next(iter(found.bases), None) or (expected_class(found.items[0]) if found.items else None)


def parameters(cls: type) -> dict[str, Any]:
    """Name and annotation of every argument of a constructor, through `**kwargs` to the parents.

    Args:
        cls: the class.
    """
    return {name: annotation for name, (annotation, _) in signature(cls)[0].items()}


@cache
def signature(cls: type) -> tuple[dict[str, tuple[Any, bool]], bool]:
    """Annotation of every argument of a constructor and whether it is required; and whether there may be others.

    Args:
        cls: the class.
    """
    found: dict[str, tuple[Any, bool]] = {}
    passed_on = False
    for parent in inspect.getmro(cls):
        init = vars(parent).get("__init__")
        if init is None or parent is object:
            continue
        try:
            hints = _whole_numbers_first(init)
            arguments = list(inspect.signature(init).parameters.values())[1:]
        except (NameError, TypeError, ValueError):  # annotations that only a type checker can resolve
            return found, True
        for one in arguments:
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
                # what a parent requires, its child may give itself
                needed = one.default is one.empty and not passed_on
                found.setdefault(one.name, (hints.get(one.name, Any), needed))
        if not any(one.kind is one.VAR_KEYWORD for one in arguments):
            # classes of others may pass their `**kwargs` to something else: DDPStrategy to DistributedDataParallel
            return found, passed_on and not cls.__module__.startswith("mtl.")
        passed_on = True
    return found, True


def _whole_numbers_first(init: Any) -> dict[str, Any]:
    """The annotations of a constructor, in which the parser tries int before float.

    Python keeps one object for `Optional[Union[int, float]]` and `Optional[Union[float, int]]`, whichever was made
    first; in the other order the parser makes 1.0 of 1, and a limit of one batch becomes all batches. The parser reads
    the annotations itself, so they are changed where they stand.
    """
    hints = typing.get_type_hints(init)
    for name, hint in hints.items():
        options = typing.get_args(hint)
        if typing.get_origin(hint) in (Union, types.UnionType) and {int, float} <= set(options):
            others = [option for option in options if option not in (int, float)]
            before = [option for option in others if options.index(option) < options.index(float)]
            behind = [option for option in others if option not in before]
            hints[name] = init.__annotations__[name] = Union[(*before, int, float, *behind)]
    return hints


def find_class(name: str, base: type | tuple[type, ...] | None) -> type | None:
    """The class a short or full name means, if it may be imported.

    Args:
        name: what the config says.
        base: the family or families it is looked for in, for short names; every known one by default.
    """
    if "." not in name:
        families = base if isinstance(base, tuple) else (base,) if base else _FAMILIES
        return next((cls for cls in family(*families) if cls.__name__ == name and may_be_named(cls)), None)
    try:
        return allowed_class(name) if is_allowed(name) else None
    except (ImportError, ImportRefused):
        return None


def may_be_named(cls: type) -> bool:
    """Whether a config may name a class: Python knows many more, as soon as anything has imported them.

    Args:
        cls: the class.
    """
    return is_allowed(f"{cls.__module__}.{cls.__qualname__}") and getattr(cls, "from_config", True)


def family(*bases: type) -> Iterator[type]:
    """Classes and the concrete classes below them.

    Args:
        bases: the classes.
    """
    for base in bases:
        yield from concrete_subclasses(base)
        if not inspect.isabstract(base):
            yield base


def describe(annotation: Any) -> str:
    """An annotation in plain words.

    Args:
        annotation: a type annotation.
    """
    options = _options(annotation)
    words = [option for option in options if typing.get_origin(option) is Literal]
    if len(words) > 1:  # one list of words reads better than several
        merged = dict.fromkeys(str(value) for option in words for value in typing.get_args(option))
        rest = [describe(option) for option in options if option not in words]
        return " or ".join([f"one of {', '.join(merged)}", *rest])
    if len(options) > 1:
        return " or ".join(dict.fromkeys(describe(option) for option in options))
    option, found = (options or [annotation])[0], Place(annotation)
    if words:
        return "one of " + ", ".join(repr(word) for word in found.words)
    if found.bases or found.function:
        return f"a {found.bases[0].__name__}" if found.bases else "a function"
    if found.values is not None:
        return "names with values" if found.values is Any else f"names with {describe(found.values)} each"
    parts = typing.get_args(option)
    if typing.get_origin(option) is tuple and len(parts) > 1 and ... not in parts:
        return f"a list of {len(parts)} ({describe(parts[0])} each)"
    if found.items:
        return "a list" if found.items[0] is Any else f"a list ({describe(found.items[0])})"
    return _WORDS.get(option) or f"a {getattr(option, '__name__', str(option).removeprefix('typing.'))}"


def _is_plain(option: type) -> bool:
    return issubclass(option, (*_PATHS, Enum, timedelta))


def _options(annotation: Any) -> list[Any]:
    """What a union consists of, without None; empty where anything may stand."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        # a config holds no tensors, as some optimisers take for a learning rate
        parts = [part for part in typing.get_args(annotation) if part not in (type(None), Tensor)]
        return [] if Any in parts else [option for part in parts for option in _options(part)]
    return [] if annotation in (None, Any, object) else [annotation]
