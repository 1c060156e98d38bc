"""YAML that remembers where every value was written, so that an error can name file and line."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import yaml

from mtl.errors import did_you_mean

KeyPath = tuple[str, ...]


class ConfigError(ValueError):
    """Something the user wrote is wrong; the message is all they need to see.

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
    """Settings that are well formed, and that a part of the run cannot work with."""

    exit_code = 1


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
    """Where a value comes from: a line of a file, or a flag.

    Args:
        where: the file, or the flag as it was typed.
        line: line of the file, from 1; 0 for a flag.
        text: that line.
    """

    where: str
    line: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.where}:{self.line}: {self.text}" if self.line else f"command line: {self.where}"


Origins = dict[KeyPath, Origin]


class _Loader(yaml.SafeLoader):
    """YAML as people read it: `1e-3` is a number, `on`, `off`, `yes` and `no` are words, dates stay text."""


_RESOLVERS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "float": (
        r"^[-+]?(?:(?:\d[\d_]*)?\.?\d+(?:[eE][-+]?\d+)|(?:\d[\d_]*)?\.\d*|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "",
    ),
}
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0].rsplit(":", 1)[1] not in ("bool", "float", "timestamp", "value")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, (_regexp, _first) in _RESOLVERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_regexp), list(_first or "-+.0123456789"))


def load_yaml(path: FilePath) -> tuple[dict[str, Any], Origins]:
    """Read one YAML file.

    Args:
        path: the file.

    Returns:
        Its values, and the origin of every key and list entry.

    Raises:
        ConfigError: if it is missing, is not YAML, names a key twice, or does not hold keys.
    """
    if not path.is_file():
        there = sorted(other.name for other in path.parent.glob("*.y*ml"))
        listed = f" {path.parent}/ holds {shown(there)}." if there else ""
        raise ConfigError(f"there is no config file {str(path)!r}.{did_you_mean(path.name, there)}{listed}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"config file {str(path)!r} is not text: {error}.") from error
    lines = text.splitlines()
    origins: Origins = {}
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return {}, {}
            if isinstance(node, yaml.MappingNode):
                _walk(node, (), str(path), lines, origins)
                values: dict[str, Any] = loader.construct_document(node)
                return values, origins
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = _origin(str(path), mark.line, lines) if mark else None
        raise ConfigError(f"this is not valid YAML: {error.problem}.{_hint(error, origin)}", origin) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config file {str(path)!r} is not valid YAML: {error}") from error
    raise ConfigError(f"config file {str(path)!r} must hold `key: value` lines, found a {node.tag.rsplit(':', 1)[1]}.")


def parse_flag_value(text: str) -> Any:
    """The value of a flag: lists, dicts and `null` are YAML; other text is left for the parser, who knows the type.

    Args:
        text: what stands behind the flag.
    """
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text
    return value if value is None or isinstance(value, dict | list) else text


def shown(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, not too many of them.

    Args:
        names: the names.
        most: how many to show.
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _walk(node: yaml.Node, path: KeyPath, where: str, lines: list[str], origins: Origins) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            origins[(*path, str(index))] = _origin(where, child.start_mark.line, lines)
            _walk(child, (*path, str(index)), where, lines, origins)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            here = (*path, str(key.value))
            origin = _origin(where, key.start_mark.line, lines)
            if here in origins:
                raise ConfigError(f"key {key.value!r} stands here twice, first in line {origins[here].line}.", origin)
            origins[here] = origin
            _walk(child, here, where, lines, origins)


def _origin(where: str, line: int, lines: list[str]) -> Origin:
    return Origin(where, line + 1, lines[line].strip() if line < len(lines) else "")


def _hint(error: yaml.MarkedYAMLError, origin: Origin | None) -> str:
    if (origin and "\t" in origin.text) or "\\t" in str(error.problem):
        return " Indent with spaces, not tabs."
    if "mapping values are not allowed" in str(error.problem):
        return " Check the indentation, and put text that contains ': ' in quotes."
    return ""
