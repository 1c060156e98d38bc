"""The settings that a folder of runs was made with, so that one table never mixes different settings."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl.config.command_line import read_command_line
from mtl.config.foreign_files import own_folder
from mtl.config.merge import read_config
from mtl.config.yaml_lines import ConfigError, dump_yaml, read_yaml

_MOST_NAMED = 5  # differences


def shared_settings(words: Sequence[str]) -> dict[str, Any]:
    """All arguments of `fit` that change a result: the merged configs, and the flags.

    Args:
        words: what every run gets.

    Raises:
        ConfigError: for a word that is no flag, or a config that is missing or wrong.
    """
    line = read_command_line("fit", words)
    flags: dict[str, list[str]] = {}  # a flag that appends may stand there twice
    for key, value in line.flags:
        if not key.startswith("tracking."):
            flags.setdefault(key, []).append(value)
    return {"config": read_config(line.configs).values, "flags": flags}


def require_same_settings(file: Path, record: Mapping[str, Any], what: str) -> None:
    """Write the record once; later, refuse a different one.

    Args:
        file: the record, in the folder of the runs.
        record: all that changes a result, as plain values.
        what: the runs are of.

    Raises:
        ConfigError: if the record there is another one.
        UnsafeFile: if what is written into the folder would land elsewhere.
    """
    own_folder(file.parent)
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dump_yaml(json.loads(json.dumps(record))), "utf-8")
        return
    refuse_other_settings(file, record, what)


def refuse_other_settings(file: Path, record: Mapping[str, Any], what: str) -> None:
    """Refuse a record that differs from the one in the folder; do nothing where there is none.

    Args:
        file: the record, in the folder of the runs.
        record: all that changes a result, as plain values.
        what: the runs are of.

    Raises:
        ConfigError: if the record there is another one.
    """
    changed = differences(file, record)
    if changed:
        named = ", ".join(changed[:_MOST_NAMED]) + (" and more" if len(changed) > _MOST_NAMED else "")
        raise ConfigError(
            f"{file.parent} holds another {what}; it differs in {named}. Give this one another --runs_root; or delete "
            f"{file} if no result depends on that."
        )


def differences(file: Path, record: Mapping[str, Any]) -> list[str]:
    """Keys in which a record differs from the one in the folder; none where there is no record.

    Args:
        file: the record, in the folder of the runs.
        record: all that changes a result, as plain values.
    """
    return list(_differences(read_yaml(file), json.loads(json.dumps(record)))) if file.is_file() else []


def _differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif before != now:
        yield key
