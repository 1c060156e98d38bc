"""YAML that remembers where every value was written, so that an error can name file and line."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import yaml

from mtl.errors import did_you_mean

KeyPath = tuple[str, ...]

# A config has some hundred values. Anchors let a file of 300 bytes stand for billions, so values are counted as they
# would be after every anchor is replaced, before anything is built from them.
MOST_BYTES = 1_000_000
MOST_VALUES = 20_000
MOST_LEVELS = 50


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


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would read as something else than text."""


_Dumper.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


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
        loader = _Loader(text)
        node = _compose(loader)
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
    except (yaml.YAMLError, ValueError) as error:  # a value such as the integer 0x or 2001-99-99
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"config file {str(path)!r} is not valid YAML: {error}") from error
    except _TooLarge as error:
        raise ConfigError(f"config file {str(path)!r} {error}") from error
    raise ConfigError(f"config file {str(path)!r} must hold `key: value` lines, found a {node.tag.rsplit(':', 1)[1]}.")


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
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def parse_flag_value(text: str) -> Any:
    """The value of a flag: lists, dicts and `null` are YAML; other text is left for the parser, who knows the type.

    Args:
        text: what stands behind the flag.
    """
    try:
        loader = _Loader(text)
        node = _compose(loader)
        value = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, ValueError):
        return text
    except _TooLarge as error:
        raise ConfigError(f"the value of a flag {error}") from error
    return value if value is None or isinstance(value, dict | list) else text


def shown(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, not too many of them.

    Args:
        names: the names.
        most: how many to show.
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


class _TooLarge(Exception):
    """A text stands for more than any config holds."""


def _read(path: FilePath) -> str:
    if not path.is_file():
        there = sorted(other.name for other in path.parent.glob("*.y*ml"))
        listed = f" {path.parent}/ holds {shown(there)}." if there else ""
        raise ConfigError(f"there is no config file {str(path)!r}.{did_you_mean(path.name, there)}{listed}")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ConfigError(f"config file {str(path)!r} has {size:,} bytes; a config has at most {MOST_BYTES:,}.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"config file {str(path)!r} is not text in UTF-8: {error}.") from error


def _compose(loader: _Loader) -> yaml.Node | None:
    """The nodes of a document, if they are as few and as flat as those of a config."""
    try:
        node: yaml.Node | None = loader.get_single_node()
    except RecursionError as error:
        raise _TooLarge(f"is nested deeper than {MOST_LEVELS} levels.") from error
    if node is not None:
        _count(node, {}, 0)
    return node


def _count(node: yaml.Node, known: dict[int, tuple[int, int]], level: int) -> tuple[int, int]:
    """How many values a node stands for, with every anchor replaced by what it names, and how deep they go."""
    if level > MOST_LEVELS:  # before the recursion, since an anchor may hold itself
        raise _TooLarge(f"is nested deeper than {MOST_LEVELS} levels.")
    if id(node) not in known:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        below = [_count(child, known, level + 1) for child in children]
        number, depth = 1 + sum(count for count, _ in below), 1 + max((deep for _, deep in below), default=0)
        if number > MOST_VALUES:
            raise _TooLarge(f"stands for more than {MOST_VALUES:,} values; a config has some hundred.")
        known[id(node)] = number, depth
    if level + known[id(node)][1] > MOST_LEVELS + 1:
        raise _TooLarge(f"is nested deeper than {MOST_LEVELS} levels.")
    return known[id(node)]


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
