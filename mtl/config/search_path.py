"""Where Python looks for modules: the current folder may be anybody's, so nothing is imported from it by default."""

import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # what holds this package


def leave_current_folder() -> None:
    """Undo what `python -m` does: it puts the current folder before everything else.

    A folder that holds this package itself comes last instead, so that other processes find the package.
    """
    here = os.getcwd()
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", here):
        del sys.path[0]
        if Path(here).resolve() == ROOT:
            sys.path.append(here)


def add_current_folder(modules: Iterable[str]) -> None:
    """Let modules that the user allows be found beside the package; last, so that they hide nothing.

    Args:
        modules: dotted names.
    """
    here = os.getcwd()
    if here not in sys.path and any(not _is_there(module.partition(".")[0]) for module in modules):
        sys.path.append(here)


def of_children() -> dict[str, str]:
    """Variables of the environment by which `python -m` of this package does not look into the current folder first."""
    return {} if Path.cwd().resolve() == ROOT else {"PYTHONSAFEPATH": "1"}


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # imported, in a strange way
        return module in sys.modules
