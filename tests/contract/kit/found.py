"""What the contract tests run on: every class and config of `mtl`, or those that `pytest --contract` names.

A family joins by one line in its test file, `HEADS = found(Head)`, and a parametrised argument; `--contract` then
serves it too. The choice is an environment variable because test modules read it at import, also in the processes of
other ranks.
"""

import importlib
import inspect
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from mtl.discovery import concrete_subclasses

T = TypeVar("T")
VARIABLE = "MTL_CONTRACT"
families: set[str] = set()  # the base classes that test modules have asked for


def choose(*names: str) -> list[type | Path]:
    """Restrict `found` and `found_configs` to these classes and configs, in this process and those it starts.

    Args:
        names: each `my.module.Class`, or the path of a config file.

    Returns:
        The classes and paths.

    Raises:
        ValueError: if there is no such class or file.
    """
    full = [str(Path(name).resolve()) if _is_config(name) else name for name in names]
    os.environ[VARIABLE] = os.pathsep.join(full)
    return _chosen()


def found(base: type[T]) -> list[type[T]]:
    """The concrete classes of a family.

    Args:
        base: the base class of the family.
    """
    families.add(base.__name__)
    chosen = _chosen()
    if not chosen:
        return [cls for cls in concrete_subclasses(base) if cls.__module__.startswith("mtl.")]
    classes = [one for one in chosen if isinstance(one, type)]
    return [cls for cls in classes if issubclass(cls, base) and not inspect.isabstract(cls)]


def found_configs(files: Iterable[Path]) -> list[Path]:
    """Config files.

    Args:
        files: those of this checkout.
    """
    chosen = _chosen()
    return [one for one in chosen if isinstance(one, Path)] if chosen else sorted(files)


def chosen_alone() -> bool:
    """Whether `pytest --contract` named a class or config."""
    return bool(os.environ.get(VARIABLE))


def _is_config(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _chosen() -> list[type | Path]:
    return [_load(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def _load(name: str) -> type | Path:
    if _is_config(name):
        if not Path(name).is_file():
            raise ValueError(f"there is no config {name}")
        return Path(name)
    module, _, attribute = name.rpartition(".")
    try:
        value = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"there is no such class ({error}); write my.module.Class, or a config file") from error
    if not isinstance(value, type):
        raise ValueError(f"{name} is no class but a {type(value).__name__}")
    if inspect.isabstract(value):
        lacking = ", ".join(f"`{method}`" for method in sorted(value.__abstractmethods__))
        raise ValueError(f"{name} cannot be built yet; write its {lacking}, as the docstring of its base class says")
    return value
