"""What a folder of runs was made from, so that one table never mixes runs of different settings."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError, dump_yaml, read_yaml

_MOST_NAMED = 5  # differences


def require_same_settings(file: Path, record: Mapping[str, Any], what: str) -> None:
    """Write a record the first time, and hold every later one to it.

    Args:
        file: the record, in the folder of the runs.
        record: all that changes a result, as plain values.
        what: the runs are of.

    Raises:
        ConfigError: if the record there is another one.
    """
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dump_yaml(json.loads(json.dumps(record))), "utf-8")
        return
    refuse_other_settings(file, record, what)


def is_other(file: Path, record: Mapping[str, Any]) -> bool:
    """Whether the record of a folder is another one.

    Args:
        file: the record, in the folder of the runs.
        record: all that changes a result, as plain values.
    """
    return file.is_file() and any(True for _ in _differences(read_yaml(file), json.loads(json.dumps(record))))


def refuse_other_settings(file: Path, record: Mapping[str, Any], what: str) -> None:
    """Hold a record to the one that is there, if one is.

    Args:
        file: the record, in the folder of the runs.
        record: all that changes a result, as plain values.
        what: the runs are of.

    Raises:
        ConfigError: if the record there is another one.
    """
    if not file.is_file():
        return
    changed = list(_differences(read_yaml(file), json.loads(json.dumps(record))))
    if changed:
        named = ", ".join(changed[:_MOST_NAMED]) + (" and more" if len(changed) > _MOST_NAMED else "")
        raise ConfigError(
            f"{file.parent} holds another {what}; it differs in {named}. Give this one another --runs_root; or delete "
            f"{file} if no result depends on that."
        )


def _differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif before != now:
        yield key
