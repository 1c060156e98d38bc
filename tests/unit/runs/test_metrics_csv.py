"""One row per step, columns by name, appended on resume."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

from mtl.runs.metrics_csv import MetricsCSV, read_rows, read_series


def test_numbers_of_one_step_share_a_row(tmp_path: Path) -> None:
    log = MetricsCSV(tmp_path / "metrics.csv")
    log.log_metrics({"a": 1.5}, step=0)
    log.log_metrics({"b": torch.tensor(2)}, step=0)
    log.log_metrics({"a": 2.5}, step=1)
    log.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == "step,a,b\n0,1.5,2\n1,2.5,\n"


def test_a_new_column_is_added_to_the_rows_before_it(tmp_path: Path) -> None:
    log = MetricsCSV(tmp_path / "metrics.csv")
    log.log_metrics({"a": 1.0}, step=0)
    log.flush()
    log.log_metrics({"b": 2.0}, step=1)
    log.flush()
    assert read_rows(tmp_path / "metrics.csv") == [
        {"step": "0", "a": "1.0", "b": ""},
        {"step": "1", "a": "", "b": "2.0"},
    ]


def test_a_resumed_run_appends_and_its_repeated_steps_win(tmp_path: Path) -> None:
    for values in ({0: 1.0, 1: 2.0, 2: 3.0}, {2: 30.0, 3: 40.0}):
        log = MetricsCSV(tmp_path / "metrics.csv")
        for step, value in values.items():
            log.log_metrics({"a": value}, step=step)
        log.finalize("success")
    assert len(read_rows(tmp_path / "metrics.csv")) == 5
    assert read_series(tmp_path / "metrics.csv") == {"a": ([0, 1, 2, 3], [1.0, 2.0, 30.0, 40.0])}


def test_a_finished_step_is_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    log = MetricsCSV(tmp_path / "metrics.csv")
    for step in range(3):
        log.log_metrics({"a": float(step)}, step=step)
    assert [row["step"] for row in read_rows(tmp_path / "metrics.csv")] == ["0", "1"]


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    log = MetricsCSV(tmp_path / "metrics.csv")
    log.log_metrics({"a": 1.0}, step=0)
    log.finalize("success")
    assert not (tmp_path / "metrics.csv").exists()
