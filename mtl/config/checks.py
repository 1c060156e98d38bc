"""What the parser lets through, and we do not: foreign code, files in place of classes, keys that nothing reads."""

from typing import Any

from jsonargparse import Namespace

from mtl.config.explain import denied, unknown_key
from mtl.config.import_policy import FUNCTIONS, is_allowed, takes_dict_kwargs
from mtl.config.merge import Config
from mtl.config.paths import expanded, is_path_type, stays_below
from mtl.config.schema import Schema, expected_class, takes_function, takes_plain
from mtl.config.yaml_lines import ConfigError, KeyPath

_FILE_ENDS = (".yaml", ".yml", ".json", ".jsonnet", ".toml")
_FILE_NAMES = ("filename", "version", "sub_dir")  # keys whose value becomes a file below a folder of the run


def refuse_unsafe(config: Config, schema: Schema) -> None:
    """Refuse what may not be imported, or would reach files elsewhere, before the parser looks at anything.

    Args:
        config: the merged config.
        schema: what may stand where.

    Raises:
        ConfigError: naming the line that asks for it.
    """
    for path in list(config.origins):
        value, expected = config.get(path), schema.expected(path)
        if path[-1] == "dict_kwargs" and value and (cls := schema.chosen(path[:-1])) and not takes_dict_kwargs(cls):
            raise ConfigError(
                f"{cls.__name__} takes no dict_kwargs; its settings go into init_args.", config.origin(path)
            )
        if isinstance(value, str):
            _refuse_text(path, value, expected, config)
        if value not in (None, *FUNCTIONS) and expected is not None and takes_function(expected):
            raise ConfigError(
                f"`{'.'.join(path)}` takes a function, and a config names classes only. Leave it out, or set it in a "
                "subclass of yours.",
                config.origin(path),
            )


def _refuse_text(path: KeyPath, value: str, expected: Any, config: Config) -> None:
    name, origin = ".".join(path), config.origin(path)
    if path[-1] == "class_path":
        if "." in value and not is_allowed(value):
            raise denied(value, config)
    elif expected is not None and expected_class(expected) is not None and not takes_plain(expected):
        if "/" in value or "\\" in value or value.endswith(_FILE_ENDS):
            raise ConfigError(f"`{name}` takes a class, found {value!r}. To merge a file, name it in `base:`.", origin)
        if "." in value and not is_allowed(value):
            raise denied(value, config)
    elif path[0] in ("trainer", "checkpoint") and path[-1] in _FILE_NAMES and not stays_below(value):
        raise ConfigError(f"`{name}` is a file in the run's folder; found {value!r}, which leaves it.", origin)


def expand_paths(config: Config, schema: Schema) -> None:
    """Replace `~` and `$VAR` in every value that is a path by its type.

    Args:
        config: the merged config, changed in place.
        schema: what may stand where.

    Raises:
        ConfigError: for a variable that is not set.
    """
    for path in list(config.origins):
        value = config.get(path)
        if isinstance(value, str) and is_path_type(schema.expected(path)):
            try:
                config.put(path, expanded(value))
            except ValueError as error:
                raise ConfigError(str(error), config.origin(path)) from error


def refuse_ignored_keys(config: Config, parsed: Namespace, schema: Schema) -> None:
    """Refuse empty keys that the parser dropped because it does not know them; whoever wrote them expects something.

    Args:
        config: the merged config.
        parsed: what the parser made of it.
        schema: what may stand where.

    Raises:
        ConfigError: naming the line of the first one.
    """

    def walk(written: Any, read: Any, path: KeyPath) -> None:
        if not isinstance(written, dict):
            return
        if isinstance(read, Namespace) and "class_path" in read and "class_path" not in written:
            read = read.get("init_args")
        for key, value in written.items():
            known = read.keys() if isinstance(read, dict) else vars(read) if isinstance(read, Namespace) else None
            if known is None:
                return
            if key not in known:
                if key in ("init_args", "dict_kwargs"):  # empty ones are left out
                    continue
                raise unknown_key((*path, str(key)), config, schema)
            walk(value, read[key], (*path, str(key)))

    walk(config.values, parsed, ())
