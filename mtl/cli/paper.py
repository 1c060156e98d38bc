"""`python -m mtl paper NAME`: a package for a paper, beside `mtl`, from the files in `paper_template`.

The template is a package that works, called `mypaper`; a new paper is a copy in which that word is its name.
"""

import argparse
import importlib.util
import keyword
import re
from importlib.metadata import distributions
from pathlib import Path

from rich.console import Console

from mtl.config.paths import path
from mtl.config.yaml_lines import ConfigError

TEMPLATE = Path(__file__).parent / "paper_template"
NAME = "mypaper"  # of the package in the template


def paper(arguments: list[str]) -> None:
    """Make the package and say how to install it.

    Args:
        arguments: what follows `paper`: its name, and the folder to make it in.

    Raises:
        ConfigError: if the name cannot be used.
    """
    example = "example: python -m mtl paper mypaper --to .."
    about = "A package for your paper."
    parser = argparse.ArgumentParser("mtl paper", description=about, epilog=example, allow_abbrev=False)
    parser.add_argument("name", help="name of the package")
    parser.add_argument("--to", type=path, default=Path(), help="folder to make it in [the current one]")
    options = parser.parse_args(arguments)
    folder = make_paper(options.name, options.to)
    console = Console(highlight=False)
    console.print(f"{folder} is the paper {options.name!r}. Install it: pip install -e {folder}", soft_wrap=True)
    console.print(f"What it holds, and what to do then: {folder / 'README.md'}", soft_wrap=True)


def make_paper(name: str, to: Path) -> Path:
    """Write the package of a paper.

    Args:
        name: of the package.
        to: folder to make it in.

    Returns:
        Its folder.

    Raises:
        ConfigError: if no package can have the name, or it is in use.
    """
    folder = to / name
    _refuse_name(name, folder)
    for source in sorted(TEMPLATE.rglob("*.*")):
        relative = source.relative_to(TEMPLATE)
        if source.is_file() and not any(part.startswith((".", "__pycache__")) for part in relative.parts):
            file = folder / relative.as_posix().replace(NAME, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source.read_text("utf-8").replace(NAME, name), "utf-8")
    return folder


def _refuse_name(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or keyword.iskeyword(name):
        near = re.sub(r"\W+", "_", name.lower()).strip("_0123456789")
        hint = f" For example {near}." if near and not keyword.iskeyword(near) else ""
        raise ConfigError(
            f"the name {name!r} cannot be a package; write lower-case letters, digits and '_', a letter first, and no "
            f"word of Python.{hint}"
        )
    if folder.exists():
        raise ConfigError(f"{folder} exists already; choose another name, or another folder for it.")
    if importlib.util.find_spec(name) is not None or any(distributions(name=name)):
        raise ConfigError(f"{name!r} is already a module, a folder here, or an installed package; choose another name.")
