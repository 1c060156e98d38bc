"""Paths as people write them, `~` and `$VAR` included, and names that become folders or files of a run."""

import os
import re
import types
from pathlib import Path, PurePath
from typing import Any, Union, get_args, get_origin

from mtl.config.yaml_lines import ConfigError, Origin

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")
_SURELY = re.compile(r"(~|\$[A-Za-z_]\w*|\$\{[A-Za-z_]\w*\})(/.*)?", re.DOTALL)  # what only a path begins with
_NAME = re.compile(r"[\w+=@][\w.+=@-]*")
_MOST_LETTERS = 120  # file systems take 255 bytes, and pictures and numbers are added


def expanded(text: str) -> str:
    """A path with `~` and `$VAR` replaced, as a shell does.

    Args:
        text: the path as typed; an address (`s3://...`) is left as it is.

    Raises:
        ValueError: for a variable that is not set, or a user who does not exist.
    """
    if "://" in text:
        return text
    for variable in _VARIABLE.findall(text):
        if variable.strip("{}") not in os.environ:
            raise ValueError(f"path {text!r} names a variable {variable.strip('{}')!r} that is not set in this shell.")
    path = os.path.expanduser(os.path.expandvars(text))
    if path.startswith("~"):
        raise ValueError(f"path {text!r} begins with '~', and there is no such user here. Write the whole path.")
    return path


def is_path_type(annotation: Any) -> bool:
    """Whether an annotation asks for a path: `Path`, or a union with it.

    Args:
        annotation: a type annotation.
    """
    if get_origin(annotation) in (Union, types.UnionType):
        return any(is_path_type(option) for option in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, PurePath | os.PathLike)


def expanded_everywhere(values: Any) -> Any:
    """Plain values with every text expanded that begins as only a path does: `~/data`, `$DATA`, `$DATA/set`.

    A text whose variable is not set stays as it is: it may be something else than a path.

    Args:
        values: dicts and lists of plain values; they are not changed.
    """
    if isinstance(values, dict):
        return {key: expanded_everywhere(value) for key, value in values.items()}
    if isinstance(values, list):
        return [expanded_everywhere(value) for value in values]
    if isinstance(values, str) and "/" in values + "/" * values.startswith("$") and _SURELY.fullmatch(values):
        try:
            return expanded(values)
        except ValueError:
            return values
    return values


def path(text: str) -> Path:
    """A path of the command line.

    Args:
        text: the path as typed.

    Raises:
        ValueError: as `expanded`.
    """
    return Path(expanded(text))


def is_name(text: str) -> bool:
    """Whether a text can be the name of a folder or a file of ours: no separator, no leading `-` or `.`, not too long.

    Args:
        text: the name.
    """
    return len(text) <= _MOST_LETTERS and _NAME.fullmatch(text) is not None


def refuse_name(what: str, text: str, origin: Origin | None = None) -> None:
    """Refuse what cannot be the name of a folder of ours.

    Args:
        what: what has the name, for the message.
        text: the name.
        origin: where it was written.

    Raises:
        ConfigError: saying what a name may look like.
    """
    if not is_name(text):
        raise ConfigError(
            f"{what}={text!r:.200} becomes the name of a folder; use at most {_MOST_LETTERS} letters, digits and any "
            "of _ . + = @ - (not . or - at the start).",
            origin,
        )


def stays_below(text: str) -> bool:
    """Whether a relative file name stays in the folder that it is relative to.

    Args:
        text: the name, with folders or without.
    """
    file = Path(text)
    return not file.is_absolute() and ".." not in file.parts
