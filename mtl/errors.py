"""Words that error messages share: a near match for a typo, and the way to a missing optional package."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

MOST_LETTERS = 300  # of a line for a person


def printable(text: str, most: int = MOST_LETTERS) -> str:
    """A text from a file, a name or an error as one line for a terminal or a table: no control codes, not too long.

    Args:
        text: the text.
        most: letters after which it is cut.
    """
    line = "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in text[: most + 1])
    return line if len(line) <= most else f"{line[: most - 3]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the known word nearest to a mistyped one.

    Args:
        word: what the user wrote.
        known: the words that would have been right.

    Returns:
        ` Did you mean 'boxes'?` with a leading space, or an empty string when nothing is near.
    """
    near = difflib.get_close_matches(word[:MOST_LETTERS], list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def check_names(what: str, names: Iterable[str], where: str, known: Iterable[str]) -> None:
    """Refuse names that mean nothing.

    Args:
        what: what they name, for the message.
        names: the names.
        where: the part of the config that has the names that mean something.
        known: these names.

    Raises:
        ValueError: naming the first one, and what is near.
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(
                f"{what} {name!r} has no entry in {where}; there are {', '.join(known) or 'none'}."
                f"{did_you_mean(name, known)} Rename it, or add it to {where}."
            )


def import_optional(package: str, extra: str) -> ModuleType:
    """Import a package that only one of our extras installs.

    Args:
        package: the module to import.
        extra: the name of the extra in `pyproject.toml` that installs it.

    Raises:
        ImportError: with the command that installs it, if the package is missing.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f'{package!r} is not installed; it comes with an extra: pip install "mtl[{extra}]".'
        ) from error
