"""What a whole run leaves in its metrics.csv."""

from typing import Any

import pytest

from mtl.runs.metrics_csv import read_series


def test_a_run_has_all_numbers_by_name(finished_run: Any) -> None:
    series = read_series(finished_run.folder / "metrics.csv")
    assert series["train/loss/boxes"][0] == list(range(6))
    assert series["weights/largest"][1] == pytest.approx([0.3] * 6)
    assert series["val/score"][0] == [2, 5]
    assert {"lr/model", "grad_norm/largest", "throughput/data_wait", "val/loss/boxes", "test/score"} <= set(series)
