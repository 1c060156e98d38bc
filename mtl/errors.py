"""Words that error messages share: a near match for a typo, and the way to a missing optional package."""

import difflib
import importlib
import math
from collections.abc import Iterable, Mapping
from types import ModuleType

_WAYS = {
    "data.tasks": "set up the data so that it has this task (`python -m mtl list data NAME` shows how)",
    "data.inputs": "set up the data so that it has this input (`python -m mtl list data NAME` shows how)",
}
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
                f"{did_you_mean(name, known)} Rename it, or {_WAYS.get(where, f'add it to {where}')}."
            )


def check_loss_weights(weights: Mapping[str, float], heads: Iterable[str]) -> None:
    """Refuse loss weights of no head, and weights that are no numbers from 0.

    Args:
        weights: weight of each head, by name.
        heads: names of the heads.

    Raises:
        ValueError: naming the first one.
    """
    heads = list(heads)
    if not heads:
        raise ValueError("a model needs at least one head; give model.heads one entry for each task to learn.")
    check_names("loss weight", weights, "model.heads", heads)
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(
                f"model.loss_weights.{name} is {weight}; it must be 0 or more. To skip a task, leave its head out."
            )


def check_least(least: float, **values: float) -> None:
    """Refuse numbers that are too small, or no numbers.

    Args:
        least: the smallest one that is right.
        values: the numbers by the name of their setting.

    Raises:
        ValueError: naming the first one.
    """
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name}={value} must be at least {least:g}.")


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
