"""What a folder of runs was made from, so that one table never mixes runs of different settings."""

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
    """All in the words of `fit` that changes a result: the merged configs, and the flags.

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
    """Write a record the first time; refuse another one later.

    Args:
        file: the record, in the folder of the runs.
        record: all that changes a result, as plain values.
        what: the runs are of.

    Raises:
        ConfigError: if the record there is another one.
        UnsafeFile: if what is written into the folder would land elsewhere.
    """
    own_folder(file.parent)
    own = json.loads(json.dumps(record))
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dump_yaml(own), "utf-8")
        return
    changed = list(_differences(read_yaml(file), own))
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
