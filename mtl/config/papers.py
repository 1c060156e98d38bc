"""Papers: installed packages that add classes to `mtl` by an entry point in the group `mtl.papers`.

    [project.entry-points."mtl.papers"]     # in the pyproject.toml of the paper
    mypaper = "mypaper"                     # the package to import

Installing such a package is the consent to import it: the command line imports every installed paper at its start, so
that short class names work, and configs may name its classes. The current folder is not searched: a package that was
only downloaded there is not installed.
"""

import importlib
import sys
import traceback
from functools import cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError
from mtl.discovery import concrete_subclasses, defined_in

GROUP = "mtl.papers"


def installed_papers() -> dict[str, str]:
    """The package of every installed paper, and the distribution that `pip uninstall` knows it by.

    Raises:
        ConfigError: for an entry point that names something else than a package.
    """
    return dict(_search(tuple(sys.path), Path.cwd()))


def import_papers() -> None:
    """Import every installed paper, which registers its classes under their short names.

    Raises:
        ConfigError: if one cannot be imported, or has a class whose short name is taken.
    """
    for package, distribution in installed_papers().items():
        try:
            importlib.import_module(package)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = "" if "importlib" in last.filename else f" ({last.filename}:{last.lineno})"
            raise ConfigError(
                f"the installed paper {package!r} cannot be imported: {type(error).__name__}: {error}{place}. "
                f"Fix it, or remove it: pip uninstall {distribution}. --traceback shows the whole error."
            ) from error
        for cls in defined_in(name for name in sys.modules if _is_within(name, package)):
            _refuse_taken_name(cls)


def is_of_a_paper(module: str) -> bool:
    """Whether a module belongs to an installed paper.

    Args:
        module: its dotted name.
    """
    return any(_is_within(module, package) for package in installed_papers())


def _is_within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def _refuse_taken_name(cls: type[Any]) -> None:
    """A short name must mean one class of a family, or the configs of mtl that use it would stop working."""
    families: list[type[Any]] = [
        base for base in cls.__mro__[1:] if base.__module__.split(".")[0] in ("mtl", "lightning")
    ]
    others = {other for base in families for other in concrete_subclasses(base)}
    for other in others:
        if other.__name__ == cls.__name__ and other is not cls:
            raise ConfigError(
                f"{cls.__module__}.{cls.__name__}, of an installed paper, and {other.__module__}.{other.__name__} have "
                "the same short name, so a config cannot tell them apart. Rename the class of the paper."
            )


@cache
def _search(places: tuple[str, ...], here: Path) -> dict[str, str]:
    papers: dict[str, str] = {}
    for distribution in distributions(path=[place for place in places if Path(place).resolve() != here]):
        for entry in distribution.entry_points.select(group=GROUP):
            papers.setdefault(_package(entry, distribution.name), distribution.name)
    return papers


def _package(entry: EntryPoint, distribution: str) -> str:
    if not all(part.isidentifier() for part in entry.value.split(".")):
        raise ConfigError(
            f"the entry point {entry.name!r} of {distribution!r} names {entry.value!r}; in the group {GROUP} it must "
            f"name a package, as in {entry.name} = {entry.name!r}. Fix it, or remove it: pip uninstall {distribution}."
        )
    return entry.value
