"""Mean and spread over seeds, as Markdown."""

import json
from pathlib import Path

import pytest

from mtl.evaluation.single_vs_joint import find_runs, main, table


def run(root: Path, experiment: str, name: str, metrics: dict[str, float], seconds: float = 10.0) -> Path:
    folder = root / experiment / name
    folder.mkdir(parents=True)
    meta = {"experiment": experiment, "train_seconds": seconds}
    (folder / "results.json").write_text(json.dumps({**metrics, "meta": meta}))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, (score, seconds) in enumerate([(0.7, 90.0), (0.8, 100.0), (0.9, 110.0)]):
        run(tmp_path, "joint", f"s{seed}", {"test/boxes/map": score, "test/scene/accuracy": 0.5}, seconds)
    run(tmp_path, "single_boxes", "s0", {"test/boxes/map": 0.875, "test/loss/boxes": 1.0, "test/boxes/map/cat": 0.5})
    (tmp_path / "joint" / "unfinished").mkdir()
    return tmp_path


def test_mean_and_spread_over_the_runs_of_an_experiment(root: Path) -> None:
    assert table(find_runs(root)).splitlines() == [
        "| experiment | runs | boxes/map | scene/accuracy | train time |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| joint | 3 | 0.800 ± 0.100 | 0.500 ± 0.000 | 100 ± 10 s |",
        "| single_boxes | 1 | 0.875 |  | 10 s |",
    ]


def test_metrics_and_experiments_can_be_chosen_in_order(root: Path) -> None:
    lines = table(find_runs(root, ["single_boxes", "joint"]), ["test/loss/boxes", "boxes/map"]).splitlines()
    assert lines[0] == "| experiment | runs | loss/boxes | boxes/map | train time |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| single_boxes", "| joint"]


def test_a_number_that_is_null_is_left_out_of_the_mean(root: Path) -> None:
    run(root, "joint", "s3", {"test/boxes/map": None})  # type: ignore[dict-item]
    assert "| 0.800 ± 0.100 |" in table(find_runs(root), ["boxes/map"])


def test_unknown_metric_is_named_with_a_near_one(root: Path) -> None:
    with pytest.raises(ValueError, match="no run has a metric 'boxes/mpa'. Did you mean 'boxes/map'"):
        table(find_runs(root), ["boxes/mpa"])


def test_unknown_experiment_is_named_with_a_near_one(root: Path) -> None:
    with pytest.raises(ValueError, match="no results of experiment 'jiont'.*Did you mean 'joint'"):
        find_runs(root, ["jiont"])


def test_without_a_run_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run with a results.json; train one with"):
        table(find_runs(tmp_path))


def test_the_command_prints_the_table_unbroken(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--runs", str(root)])
    assert capsys.readouterr().out == table(find_runs(root)) + "\n"


def test_the_command_says_what_is_wrong(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--runs", str(root), "--experiments", "other"])
    assert "no results of experiment 'other'" in capsys.readouterr().err
