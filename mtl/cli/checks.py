"""What the parser lets through, and we do not: imports of foreign code, and keys that nothing reads."""

from typing import Any

from jsonargparse import Namespace

from mtl.cli.config_files import Config
from mtl.cli.messages import denied, unknown_key
from mtl.cli.schema import Schema
from mtl.cli.yaml_lines import KeyPath
from mtl.evaluation.import_policy import is_allowed


def refuse_imports(config: Config) -> None:
    """Refuse a `class_path` that may not be imported, before the parser looks at anything.

    Args:
        config: the merged config.

    Raises:
        ConfigError: naming the line that asks for it.
    """
    for path in config.origins:
        value = config.get(path)
        if path[-1] == "class_path" and isinstance(value, str) and "." in value and not is_allowed(value):
            raise denied(value, config)


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
