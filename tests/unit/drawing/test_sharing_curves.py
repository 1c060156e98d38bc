"""The benchmark that shows what sharing saves and gives, at its smallest size."""

import csv
from pathlib import Path

import pytest

from tests.benchmarks.sharing_curves import NAMES, cost, main


@pytest.mark.nightly
def test_curves_continue_where_they_stopped_and_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["labels", "--task", "room", "--seeds", "1", "--steps", "2", "--scenes", "8", "--test", "4", "--size", "32"]
    for labels in (["2"], ["2", "6"]):
        main([*tiny, "--to", str(tmp_path), "--labels", *labels])
    with (tmp_path / "labels_room.csv").open() as file:
        rows = [(row["labels"], row["network"]) for row in csv.DictReader(file)]
    assert rows == [("2", "joint"), ("2", "alone"), ("6", "joint"), ("6", "alone")]
    assert "| 6 |" in capsys.readouterr().out
    assert (tmp_path / "labels_room.png").stat().st_size > 5000


@pytest.mark.nightly
def test_one_network_is_smaller_and_faster_than_five() -> None:
    rows = {name: values for name, *values in cost(32)}
    assert len(rows) == len(NAMES) + 3
    shares = rows["one / five"]
    assert 0.2 < shares[0] < 0.5  # parameters: the trunk is there once
    assert 0.2 < shares[1] < 1  # operations
    assert shares[4] > 1  # a step keeps all five tasks' activations
