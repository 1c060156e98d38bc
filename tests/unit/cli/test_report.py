"""`python -m mtl report --rows`: a table of any experiments, printed and not written."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtl.cli.main import main


def run(root: Path, row: str, name: str, **metrics: float | None) -> None:
    folder = root / row / name
    folder.mkdir(parents=True)
    tasks = {key.split("/")[0]: {"monitor": key.split("/")[1], "lower_is_better": []} for key in metrics}
    results: dict[str, Any] = {f"test/{key}": value for key, value in metrics.items()}
    meta = {"tasks": tasks, "steps": 10, "train_seconds": 0.5, "peak_memory_mb": 100.0}
    (folder / "results.json").write_text(
        json.dumps({**results, "test/score": 0.5, "test/boxes/map50": 0.25, "meta": meta})
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed, score in enumerate((0.7, 0.8, 0.9)):
        run(tmp_path, "joint", f"seed{seed}", **{"boxes/map": score, "scene/accuracy": 0.5})
    run(tmp_path, "alone", "2026-01-01", **{"boxes/map": 0.5})
    run(tmp_path, "other", "seed0", **{"boxes/map": 0.875, "scene/accuracy": 0.25})
    (tmp_path / "joint" / "unfinished").mkdir()
    return tmp_path


def cells(text: str) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {line[0]: line[1:] for line in lines}


def test_only_the_rows_that_are_named_are_shown_whatever_their_runs_are_called(runs: Path, capsys: Any) -> None:
    assert main(["report", "--runs", str(runs), "--rows", "joint", "alone"]) == 0
    said = capsys.readouterr().out
    table = cells(said)
    assert list(table) == ["method", "---", "joint", "alone"]
    assert table["method"][:4] == ["seeds", "score", "boxes/map", "scene/accuracy"]
    assert table["joint"][:4] == ["3", "0.500 ± 0.000", "0.800 ± 0.100", "0.500 ± 0.000"]  # stdev of .7, .8, .9
    assert table["alone"][:4] == ["1", "", "0.500", ""]
    assert not list(runs.glob("report.*"))


def test_columns_are_the_metrics_that_are_named_in_their_order(runs: Path, capsys: Any) -> None:
    words = ["report", "--runs", str(runs), "--rows", "joint", "other", "--metrics", "boxes/map", "boxes/map50"]
    assert main(words) == 0
    table = cells(capsys.readouterr().out)
    assert table["method"][2:4] == ["boxes/map", "boxes/map50"]
    assert table["other"][2:4] == ["0.875", "0.250"]


def test_a_test_without_a_finite_number_is_a_failed_run(runs: Path, capsys: Any) -> None:
    run(runs, "other", "seed1", **{"boxes/map": None, "scene/accuracy": 0.25})
    assert main(["report", "--runs", str(runs), "--rows", "joint", "other"]) == 0
    said = capsys.readouterr().out
    assert cells(said)["other"][0] == "1"
    assert "* other seed1: boxes/map of the test is not a finite number" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rows", "jiont"], "has no results of 'jiont'. Did you mean 'joint'? There are alone, joint, other."),
        (["--rows", "joint", "--metrics", "boxes/mpa"], "metric 'boxes/mpa'. Did you mean 'boxes/map'"),
    ],
)
def test_a_wrong_name_is_told_with_a_near_one(runs: Path, capsys: Any, words: list[str], message: str) -> None:
    assert main(["report", "--runs", str(runs), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metrics", "boxes/map"], "--metrics needs --rows"),
        (["--rows", "joint", "--wandb", "auto"], "leave out --wandb"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(runs: Path, capsys: Any, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["report", "--runs", str(runs), *words])
    assert message in capsys.readouterr().err


def test_a_folder_without_a_comparison_is_told_what_to_do(tmp_path: Path, runs: Path, capsys: Any) -> None:
    (tmp_path / "empty").mkdir()
    failed = tmp_path / "failed" / "Equal" / "seed0"
    failed.mkdir(parents=True)
    (failed / "failed.txt").write_text("a\nlost")
    expected = {
        tmp_path / "none": "there is no folder",
        tmp_path / "empty": "`python -m mtl compare --config ...` trains them, `python -m mtl runs` lists what",
        tmp_path / "failed": "1 failed, the first Equal seed0: lost",
        runs / "joint": f"`python -m mtl report --runs {runs} --rows joint`",
    }
    for folder, words in expected.items():
        assert main(["report", "--runs", str(folder)]) == 2
        said = capsys.readouterr().err
        assert words in " ".join(said.split())
        assert "traceback" not in said.lower()
