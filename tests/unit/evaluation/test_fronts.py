"""Fronts of a comparison: families of rows, their hypervolume by hand, and what is refused."""

import json
from pathlib import Path

import pytest

from mtl.cli.report import report
from mtl.evaluation.tables.fronts import fronts
from mtl.evaluation.tables.report import read_report

TASKS = {"a": {"monitor": "map", "lower_is_better": []}, "b": {"monitor": "mae", "lower_is_better": ["mae"]}}
ROWS = {"Fixed-1": (0.9, 4.0), "Fixed-2": (0.5, 2.0), "Fixed-3": (0.4, 3.0), "COSMOS-1": (0.7, 2.0), "MGDA": (0.1, 9.0)}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name, (score, error) in ROWS.items():
        folder = tmp_path / name / "seed0"
        folder.mkdir(parents=True)
        results = {"test/a/map": score, "test/b/mae": error, "test/score": score, "test/loss/a": 1, "test/loss/b": 1}
        results["meta"] = {"tasks": TASKS, "steps": 1, "train_seconds": 1.0}
        (folder / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_families_and_volumes_by_hand(runs: Path) -> None:
    fixed, cosmos, every = fronts(read_report(runs), ["Fixed", "COSMOS"])
    assert fixed.on_it == ["Fixed-1", "Fixed-2"]
    assert cosmos.on_it == ["COSMOS-1"]
    assert set(every.on_it) == {"Fixed-1", "COSMOS-1"}
    # a from .9 to .4 and b from 2 to 4 become 0 to 1: (0, 1), (.8, 0) and (.4, 0) below (1.1, 1.1)
    assert fixed.volumes == pytest.approx([(1.1 * 0.1 + 0.3 * 1.0) / 1.21])
    assert cosmos.volumes == pytest.approx([0.7 * 1.1 / 1.21])
    assert every.volumes == pytest.approx([(1.1 * 0.1 + 0.7 * 1.0) / 1.21])


def test_the_command_prints_and_writes_them(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(["--runs", str(runs), "--fronts", "Fixed", "COSMOS"])
    text = (runs / "fronts.md").read_text()
    assert "| Fixed (3) | Fixed-1, Fixed-2 | 0.339 |" in text
    assert text in capsys.readouterr().out


def test_an_unknown_family_is_refused(runs: Path) -> None:
    with pytest.raises(ValueError, match="no row begins with 'Cosmos'.*COSMOS-1"):
        fronts(read_report(runs), ["Cosmos"])
