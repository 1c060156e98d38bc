"""Rows of a comparison as files: the front, the table, the CSV and the picture; and the table of one export."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mtl.evaluation import export_costs
from mtl.evaluation.tables.delta_m import Metric
from mtl.evaluation.tables.device_pictures import draw_devices
from mtl.evaluation.tables.devices import OnDevice, _together, on_the_front, table_of_devices, write_devices
from mtl.evaluation.tables.export_table import export_table, skipped

ACCURACY, ERROR = Metric("largest", "accuracy", True, True), Metric("count", "mae", False, True)


def row(name: str, num_bytes: int, ms: float, accuracy: float | None, error: float | None) -> OnDevice:
    values = {"largest/accuracy": accuracy, "count/mae": error}
    known = {key: value for key, value in values.items() if value is not None}
    return OnDevice(name, 2, num_bytes // 4, num_bytes, {1: ms, 16: 10 * ms}, known)


ROWS = [row("large", 4000, 2.0, 0.9, 0.1), row("small", 1000, 1.0, 0.7, 0.5), row("poor", 2000, 3.0, 0.6, 0.05)]


def test_the_front_holds_what_no_row_beats_in_cost_and_metric() -> None:
    assert on_the_front(ROWS, ACCURACY, "bytes") == ["small", "large"]
    assert on_the_front(ROWS, ERROR, "bytes") == ["small", "poor"], "a smaller error is better"
    assert on_the_front(ROWS, ERROR, "1") == ["small", "large", "poor"]
    assert on_the_front([*ROWS, row("none", 1, 0.1, None, 1.0)], ACCURACY, "1") == ["small", "large"]


def test_single_tasks_stand_together_as_one_device_would_hold_them() -> None:
    both = _together([row("a", 1000, 1.0, 0.8, None), row("b", 3000, 0.5, None, 0.2)])
    assert (both.num_bytes, both.parameters, both.ms) == (4000, 1000, {1: 1.5, 16: 15.0})
    assert both.values == {"largest/accuracy": 0.8, "count/mae": 0.2}


def test_table_csv_and_picture(tmp_path: Path) -> None:
    rows = [*ROWS, row("alone", 900, 1.5, None, 0.9)]
    lines = table_of_devices(rows, [ACCURACY, ERROR]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == "| large | 2 | 1,000 | 4,000 | 2.00 | 20.00 | **0.9000** | **0.1000** |"
    assert lines[4] == "| poor | 2 | 500 | 2,000 | 3.00 | 30.00 | 0.6000 | **0.0500** |"
    assert lines[5].endswith("|  | **0.9000** |")
    write_devices(rows, tmp_path / "devices.csv")
    with (tmp_path / "devices.csv").open() as file:
        found = list(csv.DictReader(file))
    assert found[1]["bytes"] == "1000"
    assert float(found[1]["ms_batch_16"]) == 10.0
    assert found[3]["largest/accuracy"] == ""
    draw_devices(rows, [ACCURACY, ERROR], tmp_path / "devices.png")
    with Image.open(tmp_path / "devices.png") as picture:
        assert min(picture.size) > 400


def test_the_table_of_an_export_has_all_columns_of_what_was_measured() -> None:
    time = {"p50_ms": 1.0, "p95_ms": 2.0, "x_first": 0.5}
    files = {"onnx": {"bytes": 1000, "parity": {"largest_difference": 1e-6, "boxes_met": None}}}
    known: dict[str, Any] = {
        "files": {**files, "int8": {"bytes": 300, "parity": {"largest_difference": None}}},
        "latency": {"1": dict.fromkeys(("eager", "compile", "onnx", "int8"), time)},
        "memory": {"eager": {"before_mb": 100.0, "peak_mb": 130.0}, "onnx": {"before_mb": 40.0, "peak_mb": 50.0}},
        "metrics": {"eager": {"a/b": 0.5}, "onnx": {"a/b": 0.25}},
        "skipped": {"memory of int8": "why"},
    }
    head, rows = export_table(known)
    assert head == ["", "eager", "compile", "onnx", "int8"]
    assert {len(one) for one in rows} == {5}
    table = {one[0]: one[1:] for one in rows}
    assert table["largest difference"] == ["", "", "1e-06", "other scores"]
    assert table["ms, batch 1: p50"] == ["1.00 (0.50 x)"] * 4
    assert table["MB for the model"] == ["30", "", "10", ""]
    assert table["MB of its process"] == ["130", "", "50", ""]
    assert table["a/b"] == ["0.5000", "", "0.2500", ""]
    assert skipped(known) == ["memory of int8: why"]
    del known["latency"]
    assert export_table(known)[0] == ["", "eager", "onnx", "int8"]
    assert export_table({"files": {}}) == ([], [])


def test_without_a_compiler_or_a_file_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    model: Any = None
    assert export_costs.compiled(model, {}) == "torch.compile needs a C++ compiler, and there is no no-such-compiler"
    pytest.importorskip("onnxruntime")
    why = export_costs.memory("onnx", tmp_path / "nothing.onnx", {"image": torch.zeros(1)}, [])
    assert isinstance(why, str)
    assert "nothing.onnx" in why
