"""What the contract tests run on: every class and config of `mtl`, or the one that `pytest --contract` names.

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


def choose(name: str) -> type | Path:
    """Restrict `found` and `found_configs` to one class or config, in this process and those it starts.

    Args:
        name: `my.module.Class`, or the path of a config file.

    Returns:
        The class, or the path.

    Raises:
        ValueError: if there is no such class or file.
    """
    path = Path(name).resolve()
    os.environ[VARIABLE] = str(path) if path.suffix in (".yaml", ".yml") else name
    chosen = _chosen()
    assert chosen is not None
    return chosen


def found(base: type[T]) -> list[type[T]]:
    """The concrete classes of a family.

    Args:
        base: the base class of the family.
    """
    families.add(base.__name__)
    chosen = _chosen()
    if chosen is None:
        return [cls for cls in concrete_subclasses(base) if cls.__module__.startswith("mtl.")]
    taken = isinstance(chosen, type) and issubclass(chosen, base) and not inspect.isabstract(chosen)
    return [chosen] if taken else []  # type: ignore[list-item]


def found_configs(files: Iterable[Path]) -> list[Path]:
    """Config files.

    Args:
        files: those of this checkout.
    """
    chosen = _chosen()
    return sorted(files) if chosen is None else [chosen] if isinstance(chosen, Path) else []


def chosen_alone() -> bool:
    """Whether `pytest --contract` named one class or config."""
    return bool(os.environ.get(VARIABLE))


def _chosen() -> type | Path | None:
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    if name.endswith((".yaml", ".yml")):
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
    return value
