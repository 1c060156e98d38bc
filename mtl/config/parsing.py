"""Parse a merged config: checked before and after the parser, with every path expanded."""

import re
from copy import deepcopy
from enum import Enum
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace, get_loader, set_loader

from mtl.config.checks import check
from mtl.config.explain import explain
from mtl.config.merge import Config
from mtl.config.paths import expanded
from mtl.config.schema import Schema
from mtl.config.yaml_limits import Loader, TooLarge, compose
from mtl.config.yaml_lines import ConfigError

_MODE = "limited"
_LONG_NUMBER = re.compile(r"[\d_.:+-]{100}")  # the patterns for numbers take long to refuse one


def _load(text: str) -> Any:
    # the parser reads every text as YAML, also where a text is wanted, before it decides what it is
    try:
        compose(Loader(text))
    except (TooLarge, yaml.YAMLError):
        return text
    return text if _LONG_NUMBER.search(text) else get_loader("yaml")(text)


set_loader(_MODE, _load, (yaml.YAMLError, ValueError))


def new_parser(**options: Any) -> ArgumentParser:
    """An empty parser, which takes no text for more than a config may hold.

    Args:
        options: of `ArgumentParser`.
    """
    return ArgumentParser(exit_on_error=False, parser_mode=_MODE, **options)


def parse(parser: ArgumentParser, config: Config, schema: Schema) -> Namespace:
    """The settings of a config, complete, with every value as it was written.

    Args:
        parser: holds the same sections as the schema.
        config: the merged config.
        schema: what may stand where.

    Raises:
        ConfigError: for anything wrong in the config.
    """
    check(config, schema)
    try:
        parsed: Namespace = parser.parse_object(deepcopy(config.values))
    except Exception as error:  # the parser stumbles over strange values in many ways
        raise explain(str(error), config) from error
    _plain_words(parsed)
    return parsed


def _plain_words(settings: Any) -> None:
    """Make text of words of an enumeration, such as the default `interval` of Lightning's Timer: YAML has text only."""
    entries: Any = settings.__dict__ if isinstance(settings, Namespace) else settings
    for key, value in entries.items() if isinstance(entries, dict) else enumerate(entries):
        if isinstance(value, Enum) and isinstance(value, str):
            entries[key] = str(value.value)
        elif isinstance(value, Namespace | dict | list):
            _plain_words(value)


def expand(parsed: Namespace, config: Config, schema: Schema) -> Namespace:
    """The settings with `~` and `$VAR` replaced in every path: what is built from them, and written down nowhere.

    Args:
        parsed: what `parse` returned.
        config: the merged config, which knows the lines.
        schema: what may stand where.

    Raises:
        ConfigError: for a variable that is not set, and for what the parser has made and may not.
    """
    whole = Config(parsed.as_dict(), config.origins, config.files)
    paths = check(whole, schema, parsed=True)
    settings = deepcopy(parsed)
    for path in paths:
        try:
            _put(settings, path, expanded(str(whole.get(path))))
        except ValueError as error:
            raise ConfigError(str(error), config.origin(path)) from error
    return settings


def _put(settings: Any, path: tuple[str, ...], text: str) -> None:
    for key in path[:-1]:
        settings = settings[int(key)] if isinstance(settings, list) else settings[key]
    key = path[-1]
    if isinstance(settings, list):
        settings[int(key)] = type(settings[int(key)])(text)
    else:
        settings[key] = type(settings[key])(text)
