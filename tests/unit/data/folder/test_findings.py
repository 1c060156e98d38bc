"""Skipped data is reported once: counts, files and reasons."""

import csv
import logging
from pathlib import Path

import pytest

from mtl.data.folder.findings import DataReport


def report() -> DataReport:
    made = DataReport("set")
    made.add("empty_box", "train", "a", "cat 1 1 1 1", "skipped")
    made.add("empty_box", "val", "b", "cat 2 2 2 2", "skipped")
    made.add("tiny_box", "val", "b", "cat 2 2 3 3", "kept")
    return made


def test_the_summary_counts_each_kind_and_shows_the_first() -> None:
    lines = report().summary().splitlines()
    assert lines[0] == "set: 3 findings in the data"
    assert "skipped" in lines[1]
    assert "2 x empty_box: train a cat 1 1 1 1, ..." in lines[1]
    assert lines[2].endswith("1 x tiny_box: val b cat 2 2 3 3")


def test_it_is_logged_as_one_warning_and_silent_without_findings(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        DataReport("clean").log_summary()
        report().log_summary()
    assert len(caplog.records) == 1
    assert "empty_box" in caplog.text


def test_pictures_of_a_kind_are_listed_once() -> None:
    made = report()
    made.add("empty_box", "train", "a", "dog", "skipped")
    assert made.images("empty_box") == ["a", "b"]


def test_the_csv_holds_every_finding(tmp_path: Path) -> None:
    report().write_csv(tmp_path / "deep/report.csv")
    with (tmp_path / "deep/report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["empty_box", "empty_box", "tiny_box"]
    assert rows[0] == {
        "kind": "empty_box",
        "split": "train",
        "image": "a",
        "detail": "cat 1 1 1 1",
        "action": "skipped",
    }
