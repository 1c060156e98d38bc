"""What may stand at a place of a config: the class or type expected there, and its known names.

The parser decides what is right; this only reads the same signatures, so that a message can say what would have been.
"""

import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union

from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.optim import Optimizer

from mtl.config.import_policy import ImportRefused, is_allowed
from mtl.config.import_policy import find_class as allowed_class
from mtl.config.merge import CLASS_KEYS, Config
from mtl.config.yaml_lines import KeyPath
from mtl.discovery import concrete_subclasses


class Schema:
    """The tree of keys below some classes.

    Args:
        sections: class or type of every top-level key.
        config: the values; they say which class was chosen where.
        options: what else may stand on the command line, without dashes.
    """

    def __init__(self, sections: Mapping[str, Any], config: Config, options: Sequence[str] = ()) -> None:
        self.sections = dict(sections)
        self.options = tuple(options)
        self.config = config

    def expected(self, path: KeyPath) -> Any:
        """The annotation of a place, None if it is not known.

        Args:
            path: keys from the top.
        """
        if not path:
            return None
        here = self.sections.get(path[0])
        for index, key in enumerate(path[1:], start=1):
            if here is None:
                return None
            here = self._below(here, path[:index], key)
        return here

    def chosen(self, path: KeyPath) -> type | None:
        """The class that a place builds: the one its `class_path` names, else the one its annotation names.

        Args:
            path: keys from the top; an ending on `init_args` means the class around it.
        """
        if path and path[-1] == "init_args":
            path = path[:-1]
        base = expected_class(self.expected(path))
        value = self.config.get(path)
        name = value.get("class_path") if isinstance(value, dict) else value if isinstance(value, str) else None
        if isinstance(name, str):
            return find_class(name, base)
        return base

    def names(self, path: KeyPath) -> list[str]:
        """Keys that may stand below a place; empty where any may.

        Args:
            path: keys from the top.
        """
        if not path:
            return sorted({*self.sections, "base"})
        if typing.get_origin(_plain(self.expected(path))) is dict:
            return []
        cls = self.chosen(path)
        if cls is None:
            return []
        given = _given(self.expected(path[:-1] if path[-1] == "init_args" else path))
        return [name for name in list(parameters(cls))[given:] if (path, name) != (("model",), "tasks")]

    def drop_removed(self) -> None:
        """Take away the entries of dicts that an overlay set to `null`; an argument keeps its None."""
        for path in [path for path in self.config.origins if path and self.config.get(path) is None]:
            parent = self.config.get(path[:-1])
            if isinstance(parent, dict) and path[-1] in parent and _is_dict(self.expected(path[:-1])):
                del parent[path[-1]]

    def _below(self, here: Any, path: KeyPath, key: str) -> Any:
        here = _plain(here)
        if key == "class_path" or (key in CLASS_KEYS and expected_class(here) is not None):
            return here
        if _is_dict(here):
            return typing.get_args(here)[1] if len(typing.get_args(here)) == 2 else None
        items = [option for option in _options(here) if _is_list(option)]
        if key.isdigit() and items:
            return next(iter(typing.get_args(items[0])), None)
        cls = self.chosen(path)
        return None if cls is None else parameters(cls).get(key)


def parameters(cls: type) -> dict[str, Any]:
    """Name and annotation of every argument of a constructor, through `**kwargs` to the parents.

    Args:
        cls: the class.
    """
    found: dict[str, Any] = {}
    for parent in inspect.getmro(cls):
        init = vars(parent).get("__init__")
        if init is None or parent is object:
            continue
        try:
            hints = typing.get_type_hints(init)
            signature = inspect.signature(init).parameters.values()
        except (NameError, TypeError, ValueError):  # annotations that only a type checker can resolve
            break
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(signature)[1:]:
            if parameter.kind in kinds:
                found.setdefault(parameter.name, hints.get(parameter.name, Any))
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature):
            break
    return found


def expected_class(annotation: Any) -> type | None:
    """The class an annotation asks for, looking through Optional, list and factories.

    Args:
        annotation: a type annotation.
    """
    for option in _options(annotation):
        if typing.get_origin(option) is collections.abc.Callable:
            arguments = typing.get_args(option)
            found = expected_class(arguments[-1]) if arguments else None
        elif _is_list(option) and typing.get_args(option):
            found = expected_class(typing.get_args(option)[0])
        else:
            found = option if isinstance(option, type) and option.__module__ != "builtins" else None
        if found is not None and typing.get_origin(found) is None:
            return found
    return None


def takes_function(annotation: Any) -> bool:
    """Whether an annotation asks for a function that returns no class of ours: one that a config cannot name.

    Args:
        annotation: a type annotation.
    """
    options = _options(annotation)
    functions = [
        option
        for option in options
        if collections.abc.Callable in (option, typing.get_origin(option)) or option is typing.Callable
    ]
    return bool(functions) and len(functions) == len(options) and expected_class(annotation) is None


def takes_plain(annotation: Any) -> bool:
    """Whether a plain value may stand there, beside a class: text, a number, a word out of some.

    Args:
        annotation: a type annotation.
    """
    plain = (str, int, float, bool, dict)
    return any(option in plain or typing.get_origin(option) is Literal for option in _options(annotation))


def find_class(name: str, base: type | None) -> type | None:
    """The class a short or full name means, if it may be imported.

    Args:
        name: what the config says.
        base: the family it is looked for in, for short names; every known one by default.
    """
    if "." not in name:
        bases = [base] if base else [nn.Module, LightningDataModule, Callback, Logger, Optimizer]
        return next((cls for each in bases for cls in family(each) if cls.__name__ == name), None)
    try:
        return allowed_class(name) if is_allowed(name) else None
    except (ImportError, ImportRefused):
        return None


def family(base: type) -> Iterator[type]:
    """A class and the concrete classes below it.

    Args:
        base: the class.
    """
    yield from concrete_subclasses(base)
    if not inspect.isabstract(base):
        yield base


def describe(annotation: Any) -> str:
    """An annotation as a person would say it.

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
    option = options[0] if options else annotation
    origin, arguments = typing.get_origin(option), typing.get_args(option)
    if origin is Literal:
        return "one of " + ", ".join(repr(value) for value in arguments)
    if origin is collections.abc.Callable:
        return describe(arguments[-1]) if arguments else "a function"
    if origin is dict:
        return f"names with {describe(arguments[1])} each" if len(arguments) == 2 else "names with values"
    if _is_list(option):
        return f"a list ({describe(arguments[0])})" if arguments else "a list"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "names with values"}
    for kind, word in plain.items():
        if option is kind:
            return word
    return f"a {getattr(option, '__name__', str(option).removeprefix('typing.'))}"


def literals(annotation: Any) -> list[str]:
    """The words that an annotation lists.

    Args:
        annotation: a type annotation.
    """
    found = []
    for option in _options(annotation):
        if typing.get_origin(option) is Literal:
            found += [str(value) for value in typing.get_args(option)]
        elif _is_list(option) and typing.get_args(option):
            found += literals(typing.get_args(option)[0])
    return found


def _given(annotation: Any) -> int:
    """How many arguments a factory gets from the code, such as the task of a head."""
    for option in _options(annotation):
        if typing.get_origin(option) is collections.abc.Callable:
            first = typing.get_args(option)[:1]
            return len(first[0]) if first and isinstance(first[0], list) else 0
        if typing.get_origin(option) is dict:
            return _given(typing.get_args(option)[1])
    return 0


def _options(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return [option for part in typing.get_args(annotation) for option in _options(part) if option is not type(None)]
    return [] if annotation in (None, Any) else [annotation]


def _plain(annotation: Any) -> Any:
    """The annotation without `| None`."""
    options = _options(annotation)
    return options[0] if len(options) == 1 else annotation


def _is_dict(annotation: Any) -> bool:
    return any(typing.get_origin(option) in (dict, collections.abc.Mapping) for option in _options(annotation))


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (list, tuple, collections.abc.Sequence, collections.abc.Iterable)
