"""The tables after a test fit 80 columns and break no metric."""

import re

from rich.console import Console
from rich.table import Table

from mtl.callbacks.tracking.result_table import class_table, task_table

METRICS = {
    "test/boxes/map": 0.751, "test/boxes/map50": 0.953, "test/boxes/map75": 0.861, "test/boxes/recall100": 0.83,
    "test/boxes/map/cat": 0.5, "test/boxes/map/dog": 0.25, "test/loss/boxes": 1.25,
    "test/scene/accuracy": 0.884, "test/scene/balanced_accuracy": 0.87, "test/scene/f1_macro": 0.86,
    "test/scene/recall/indoor": 1.0, "test/scene/recall/cat": 0.75, "test/loss/scene": 0.5, "test/score": 0.8175,
}  # fmt: skip


def shown(table: Table) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_one_row_per_task_and_the_joint_score() -> None:
    lines = shown(task_table(METRICS, ["boxes", "scene", "pose"]))
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert "map 0.751  map50 0.953  map75 0.861  recall100 0.830" in rows["boxes"]
    assert rows["boxes"].endswith("1.250")
    assert "no labelled sample" in rows["pose"]
    assert rows["joint"].split() == ["joint", "score", "0.818"]
    assert max(map(len, lines)) <= 80


def test_a_metric_of_several_tasks_has_a_row() -> None:
    lines = shown(task_table({**METRICS, "test/sentence_accuracy": 0.84, "test/loss": 1.75}, ["boxes", "scene"]))
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert rows["all"] == ["all", "tasks", "sentence_accuracy", "0.840"]
    assert "all" not in {line.split()[0] for line in shown(task_table(METRICS, ["boxes"])) if line.strip()}


def test_many_metrics_wrap_between_them_never_within() -> None:
    many = {f"test/boxes/a_long_metric_{index}": 0.5 for index in range(9)}
    lines = shown(task_table(many, ["boxes"]))
    assert max(map(len, lines)) <= 80
    assert sum(line.count("a_long_metric_") for line in lines) == 9
    assert sum(len(re.findall(r"metric_\d 0.500", line)) for line in lines) == 9


def test_classes_of_all_tasks_share_a_table() -> None:
    table = class_table(METRICS, ["boxes", "scene"])
    assert table is not None
    lines = shown(table)
    assert lines[0].split() == ["class", "boxes", "map", "scene", "recall"]
    assert [line.split() for line in lines[2:]] == [["cat", "0.500", "0.750"], ["dog", "0.250"], ["indoor", "1.000"]]


def test_of_many_classes_the_hardest_are_shown() -> None:
    table = class_table({f"test/boxes/map/class {index}": index / 100 for index in range(80)}, ["boxes"])
    assert table is not None
    lines = shown(table)
    assert table.row_count == 24
    assert lines[2].split() == ["class", "0", "0.000"]
    assert "hardest 24 of 80" in " ".join(" ".join(lines).split())


def test_without_classes_there_is_no_class_table() -> None:
    assert class_table({"test/boxes/map": 0.5}, ["boxes"]) is None
