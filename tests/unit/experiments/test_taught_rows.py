"""Rows that learn from other rows: whose runs teach them, and in which order they are trained."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.config.yaml_lines import ConfigError
from mtl.experiments.comparison import Comparison, read_comparison

SMALL = {"model": {"width": 2}}


def comparison(folder: Path, *methods: dict[str, Any], single_tasks: bool = True) -> Comparison:
    (folder / "base.yaml").write_text(yaml.safe_dump({"model": {"heads": {"boxes": "A", "largest": "B"}}}))
    values = {"config": "base.yaml", "seeds": 2, "tune": 0, "single_tasks": single_tasks, "methods": list(methods)}
    (folder / "rows.yaml").write_text(yaml.safe_dump(values))
    return read_comparison(folder / "rows.yaml")


def test_teachers_are_runs_of_the_same_seed_and_are_trained_before(tmp_path: Path) -> None:
    found = comparison(
        tmp_path,
        {"name": "joint", "overlay": {}},
        {"name": "singles", "overlay": SMALL, "distill": {"teachers": "single_tasks", "weight": 2.0}},
        {"name": "again", "overlay": {}, "distill": {"teachers": ["singles"], "tasks": ["boxes"]}},
    ).cells(tmp_path / "out")
    cells = {(cell.folder.name, cell.name): cell for cell in found}
    taught = cells["singles", "seed1"]
    (callback,) = taught.overlay["trainer"]["callbacks+"]
    teachers = [str(tmp_path / f"out/{row}/seed1") for row in ("boxes-alone", "largest-alone")]
    assert callback == {"class_path": "Distill", "init_args": {"teachers": teachers, "weight": 2.0}}
    assert taught.overlay["model"] == {"width": 2}
    waves = {row: cells[row, "seed0"].wave for row in ("joint", "boxes-alone", "singles", "again")}
    assert waves == {"joint": 0, "boxes-alone": 0, "singles": 1, "again": 2}
    assert cells["again", "seed0"].overlay["trainer"]["callbacks+"][0]["init_args"]["tasks"] == ["boxes"]


def test_single_task_teachers_are_those_of_the_tasks_that_are_taught(tmp_path: Path) -> None:
    distill = {"teachers": "single_tasks", "tasks": ["largest"]}
    found = comparison(tmp_path, {"name": "one", "overlay": {}, "distill": distill})
    assert found.taught["one"].rows == ("largest-alone",)


@pytest.mark.parametrize(
    ("distill", "single_tasks", "message"),
    [
        ({"teachers": "singletasks"}, True, "teacher 'singletasks' is no row above this one; these are boxes-alone"),
        ({"teachers": "small"}, True, "teacher 'small' is no row above this one"),
        ({"teachers": "single_tasks"}, False, "these are none. Set `single_tasks: true`."),
        ({"weight": 1.0}, True, "`distill` has `teachers`, which are `single_tasks` or names of rows above; found"),
        ("joint", True, "`distill` has `teachers`"),
    ],
)
def test_teachers_that_are_no_rows_are_refused(tmp_path: Path, distill: Any, single_tasks: bool, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        comparison(tmp_path, {"name": "small", "overlay": SMALL, "distill": distill}, single_tasks=single_tasks)
