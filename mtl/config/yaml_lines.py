"""YAML that remembers where every value was written, so that an error can name file and line."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import yaml

from mtl.config.foreign_files import UnsafeFile, read_small
from mtl.config.shipped import shipped_names
from mtl.config.yaml_limits import MOST_BYTES, Dumper, Loader, TooLarge, compose
from mtl.errors import did_you_mean

KeyPath = tuple[str, ...]


class ConfigError(ValueError):
    """An error in what the user wrote; its message is complete without a traceback.

    Args:
        message: what was found, what was expected, what to do.
        origin: where it was written.
    """

    exit_code = 2

    def __init__(self, message: str, origin: "Origin | None" = None) -> None:
        super().__init__(message)
        self.message = message
        self.origin = origin


class RunError(ConfigError):
    """Valid settings that a part of the run cannot work with."""


def known_keys(values: Any, known: Collection[str], where: str) -> None:
    """Refuse what is no dict, and keys that nothing reads.

    Args:
        values: what was written.
        known: the keys that have a meaning.
        where: what the message begins with: the file, and the part of it.

    Raises:
        ConfigError: naming the first key, and the nearest known one.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected keys such as {', '.join(known)}, found {values!r}.")
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: no key {key!r}.{did_you_mean(str(key), known)} There are {', '.join(known)}.")


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: a line of a file, a flag, or a dict in Python.

    Args:
        where: the file, the flag as it was typed, or the key in Python.
        line: line of the file, from 1; 0 elsewhere.
        text: that line.
    """

    where: str
    line: int = 0
    text: str = ""

    def __str__(self) -> str:
        if self.line:
            return f"{self.where}:{self.line}: {self.text}"
        return f"command line: {self.where}" if self.where.startswith("-") else self.where


Origins = dict[KeyPath, Origin]
_MERGE = "tag:yaml.org,2002:merge"


def load_yaml(path: FilePath) -> tuple[dict[str, Any], Origins]:
    """Read one YAML file.

    Args:
        path: the file.

    Returns:
        Its values, and the origin of every key and list entry.

    Raises:
        ConfigError: if it is missing, is not YAML, names a key twice, does not hold keys, or is too large or deep.
    """
    text = _read(path)
    lines = text.splitlines()
    origins: Origins = {}
    try:
        loader = Loader(text)
        node = compose(loader)
        if node is None:
            return {}, {}
        if isinstance(node, yaml.MappingNode):
            _walk(node, (), str(path), lines, origins)
            values: dict[str, Any] = loader.construct_document(node)
            return values, origins
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = _origin(str(path), mark.line, lines) if mark else None
        raise ConfigError(f"this is not valid YAML: {error.problem}.{_hint(error, origin)}", origin) from error
    except TooLarge as error:
        raise ConfigError(f"config file {str(path)!r} {error}") from error
    except ConfigError:
        raise
    except Exception as error:  # constructors of plain values stumble in many ways, as over 0x
        raise ConfigError(f"config file {str(path)!r} is not valid YAML: {error}") from error
    form = "a list" if isinstance(node, yaml.SequenceNode) else "one value"
    raise ConfigError(f"config file {str(path)!r} must hold `key: value` lines, found {form}.")


def read_yaml(path: FilePath) -> dict[str, Any]:
    """The values of a YAML file alone, for files that are no config: comparisons, sweeps, records of ours.

    Args:
        path: the file.

    Raises:
        ConfigError: as `load_yaml`.
    """
    return load_yaml(path)[0]


def dump_yaml(values: Any) -> str:
    """Plain values as YAML that `load_yaml` reads back as they are.

    Args:
        values: dicts, lists, numbers, text.
    """
    return str(yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def parse_flag_value(text: str) -> Any:
    """The value of a flag: lists, dicts and `null` are YAML; other text is left for the parser, who knows the type.

    Args:
        text: what stands behind the flag.
    """
    try:
        loader = Loader(text)
        node = compose(loader)
        if node is None:  # empty, or a comment to YAML: a text as it stands, not null
            return text
        _walk(node, (), "flag", text.splitlines(), {})
        value = loader.construct_document(node)
    except (yaml.YAMLError, ValueError):
        return text
    except TooLarge as error:
        raise ConfigError(f"the value of a flag {error}") from error
    return value if value is None or isinstance(value, dict | list) else text


def shown(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, not too many of them.

    Args:
        names: the names.
        most: how many to show.
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _read(path: FilePath) -> str:
    try:
        if path.is_file():
            return read_small(path, MOST_BYTES, follow=True).decode("utf-8-sig")
        folder = sorted(other.name for other in path.glob("*.y*ml")) if path.is_dir() else None
        there = sorted(other.name for other in path.parent.glob("*.y*ml"))
    except UnsafeFile as error:
        raise ConfigError(f"config file {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config file {str(path)!r} is not text in UTF-8: {error}.") from error
    except (OSError, ValueError) as error:  # a name that no file can have
        raise ConfigError(f"config file {str(path)!r:.300} cannot be read: {error!s:.200}.") from error
    if folder is not None:
        raise ConfigError(f"config {str(path)!r} is a folder; give a file. It holds {shown(folder) or 'no YAML file'}.")
    listed = f" {path.parent}/ holds {shown(there)}." if there else ""
    near = did_you_mean(path.name, there) or did_you_mean(path.as_posix().removeprefix("configs/"), shipped_names())
    raise ConfigError(f"there is no config file {str(path)!r:.300}.{near}{listed}")


def _walk(node: yaml.Node, path: KeyPath, where: str, lines: list[str], origins: Origins) -> None:
    """Note where every value stands, and make text of every key."""
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            origins[(*path, str(index))] = _origin(where, child.start_mark.line, lines)
            _walk(child, (*path, str(index)), where, lines, origins)
    elif isinstance(node, yaml.MappingNode):
        own: dict[str, int] = {}
        # what `<<` merges comes first, since the keys beside it win
        for key, child in sorted(node.value, key=lambda pair: pair[0].tag != _MERGE):
            origin = _origin(where, key.start_mark.line, lines)
            if key.tag == _MERGE:
                for merged in reversed(child.value) if isinstance(child, yaml.SequenceNode) else [child]:
                    _walk(merged, path, where, lines, origins)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError("a key must be text; found a list or a dict.", origin)
            key.tag = "tag:yaml.org,2002:str"
            if key.value in own:
                raise ConfigError(f"key {key.value!r} stands here twice, first in line {own[key.value]}.", origin)
            own[key.value] = origin.line
            origins[(*path, key.value)] = origin
            _walk(child, (*path, key.value), where, lines, origins)


def _origin(where: str, line: int, lines: list[str]) -> Origin:
    return Origin(where, line + 1, lines[line].strip() if line < len(lines) else "")


def _hint(error: yaml.MarkedYAMLError, origin: Origin | None) -> str:
    if (origin and "\t" in origin.text) or "\\t" in str(error.problem):
        return " Indent with spaces, not tabs."
    if "mapping values are not allowed" in str(error.problem):
        return " Check the indentation, and put text that contains ': ' in quotes."
    return ""
