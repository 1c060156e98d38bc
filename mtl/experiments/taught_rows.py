"""Rows of a comparison that learn from the runs of other rows, seed by seed: `distill` in an entry of `methods`.

    methods:
      - {name: small, overlay: {model: {backbone: {init_args: {width: 8}}}}}
      - name: small-taught
        overlay: {model: {backbone: {init_args: {width: 8}}}}
        distill: {teachers: single_tasks}      # or names of rows above; more keys go to `Distill`

Source of `single_tasks`: Li, Bilen, "Knowledge Distillation for Multi-task Learning", ECCV workshops 2020.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean
from mtl.experiments.single_tasks import OF_SINGLE_TASK

SINGLE_TASKS = "single_tasks"  # in place of the rows that train one task each


@dataclass(frozen=True)
class Teaching:
    """What one row learns from others.

    Args:
        rows: whose run of the same seed is a teacher.
        settings: further arguments of `Distill`.
        wave: 1 where the teachers have none themselves, 2 where they are of wave 1, and so on.
    """

    rows: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    wave: int = 1

    def overlay(self, variant: Path, run: str) -> dict[str, Any]:
        """The overlay that teaches a run.

        Args:
            variant: folder of the rows.
            run: name of the run in each row.
        """
        teachers = [str(variant / row / run) for row in self.rows]
        callback = {"class_path": "Distill", "init_args": {"teachers": teachers, **self.settings}}
        return {"trainer": {"callbacks+": [callback]}}


def read_teaching(
    values: Any, where: str, rows: Sequence[str], tasks: Sequence[str], taught: Mapping[str, Teaching]
) -> Teaching:
    """Read and check the `distill` of a row.

    Args:
        values: what the file says.
        where: file and row, for messages.
        rows: names of the rows above it.
        tasks: names of the heads.
        taught: rows above it that are taught themselves.

    Raises:
        ConfigError: if a teacher is no row above it.
    """
    named = values.get("teachers") if isinstance(values, dict) else None
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        raise ConfigError(
            f"{where}: `distill` has `teachers`, which are `{SINGLE_TASKS}` or names of rows above; "
            f"found {values!r:.80}."
        )
    chosen = values.get("tasks")
    of_tasks = tasks if not isinstance(chosen, list) else [task for task in tasks if task in chosen]
    alone = [OF_SINGLE_TASK.format(task=task) for task in of_tasks]
    teachers = [row for name in named for row in (alone if name == SINGLE_TASKS else [name])]
    for row in teachers:
        if row not in rows:
            hint = " Set `single_tasks: true`." if row in alone else did_you_mean(row, rows)
            known = ", ".join(rows) or "none"
            raise ConfigError(f"{where}: teacher {row!r} is no row above this one; these are {known}.{hint}")
    settings = {key: value for key, value in values.items() if key != "teachers"}
    return Teaching(tuple(teachers), settings, 1 + max(taught[row].wave if row in taught else 0 for row in teachers))
