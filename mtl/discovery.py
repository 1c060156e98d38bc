"""Packages import their own modules, so one new file is enough to add a head, a backbone or a data set."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def import_modules(package: str) -> None:
    """Import every module of a package and of the packages in it; called by the package itself.

    Args:
        package: dotted name of the package, its own `__name__`.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
        if module.ispkg:
            import_modules(f"{package}.{module.name}")


def concrete_subclasses(base: type[T]) -> Iterator[type[T]]:
    """Every imported public class below `base` that can be built, in order of name.

    Args:
        base: the base class of a family, for example `Head`.
    """
    found: dict[type[T], None] = {}  # in order of definition: of a class that is defined again, the last comes last
    open_classes = [base]
    while open_classes:
        for child in open_classes.pop().__subclasses__():
            if child not in found:
                found[child] = None
                open_classes.append(child)
    for cls in sorted(found, key=lambda cls: (cls.__name__, cls.__module__)):
        private = getattr(cls, "__abstractmethods__", None) or cls.__name__.startswith("_")
        if not private and not _is_proxy(cls):
            yield cls


def _is_proxy(cls: type[Any]) -> bool:
    """Whether a class stands for another while a graph is taken; until it is freed it has the name of that one."""
    return any(parent.__module__.startswith("torch.fx.") for parent in cls.__mro__)


def by_kind(base: type[T]) -> dict[str, type[T]]:
    """The class that serves each kind, by its word; a subclass that inherits its word leaves it to its parent.

    Args:
        base: the base class of a family with kinds, `Input` or `Target`.

    Raises:
        ValueError: for a class without a word, and for two classes with the same one.
    """
    known: dict[str, type[T]] = {}
    for cls in concrete_subclasses(base):
        kind = getattr(cls, "kind", None)
        if not isinstance(kind, str) or not kind:
            raise ValueError(
                f"{cls.__module__}.{cls.__name__} is a subclass of {base.__name__} without a kind; set "
                "`kind = ...` in the class, the word by which data sets ask for it."
            )
        other = known.get(kind)
        if other is None or issubclass(other, cls) or _name(other) == _name(cls):
            known[kind] = cls
        elif not issubclass(cls, other):
            raise ValueError(
                f"{_name(other)} and {_name(cls)} both serve kind {kind!r}; give one of them another word."
            )
    return known


def _name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def defined_in(modules: Iterable[str]) -> Iterator[type[Any]]:
    """The public classes of imported modules, each from the module that defines it.

    Args:
        modules: dotted names.
    """
    for name in sorted(modules):
        for _, cls in inspect.getmembers(sys.modules[name], inspect.isclass):
            if cls.__module__ == name and not cls.__name__.startswith("_"):
                yield cls
