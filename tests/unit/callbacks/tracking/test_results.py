"""`results.json` and what stands on the screen after a test."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mtl.callbacks.tracking.results import Results, write_results
from mtl.runs.metrics_csv import read_series


def test_results_are_plain_numbers_by_name(finished_run: Any) -> None:
    results = json.loads((finished_run.folder / "results.json").read_text())
    meta = results.pop("meta")
    assert {"test/boxes/map50", "test/largest/accuracy", "test/loss/boxes", "test/score"} <= set(results)
    assert all(isinstance(value, float) for value in results.values())
    series = read_series(finished_run.folder / "metrics.csv")
    assert results == pytest.approx({name: series[name][1][-1] for name in results})
    assert meta.pop("train_seconds") > 0
    assert meta.pop("peak_memory_mb") > 10
    assert meta == {
        "experiment": "tiny",
        "name": "first",
        "steps": 6,
        "num_parameters": sum(p.numel() for p in finished_run.module.model.parameters()),
        "checkpoint": "checkpoints/best.ckpt",
        "tasks": {
            "boxes": {"monitor": "map", "lower_is_better": []},
            "largest": {"monitor": "accuracy", "lower_is_better": []},
        },
    }


def test_the_screen_ends_with_tables_and_the_run_folder(finished_run: Any) -> None:
    lines = finished_run.screen.rstrip().splitlines()
    assert lines[-1] == f"run folder: {finished_run.folder}"
    shown = lines[next(i for i, line in enumerate(lines) if line.startswith("class ")) : -1]
    assert max(len(line.rstrip()) for line in shown) <= 80
    assert any(line.startswith("joint score") for line in lines)


def test_best_score_never_falls(finished_run: Any) -> None:
    series = read_series(finished_run.folder / "metrics.csv")
    best = max(series["val/score"][1])
    assert series["best/score"][1][-1] == pytest.approx(best)
    assert series["best/score"][1] == sorted(series["best/score"][1])


def test_a_test_in_a_folder_inside_its_run_keeps_the_experiment(tiny: Any, tmp_path: Path) -> None:
    run = tmp_path / "digits" / "third"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("experiment: digits\n")
    tiny.trainer([Results(run / "test", show=False)], limit_test_batches=1).test(
        tiny.module(), tiny.data(), verbose=False
    )
    meta = json.loads((run / "test/results.json").read_text())["meta"]
    assert (meta["experiment"], meta["name"], meta["checkpoint"], meta["steps"]) == ("digits", "third", None, 0)


def test_training_time_is_kept_over_a_resume() -> None:
    callback = Results(Path("runs/e/n"))
    callback.load_state_dict({"train_s": 12.5, "best": 0.5})
    assert callback.state_dict() == {"train_s": 12.5, "best": 0.5}


def test_testing_the_best_checkpoint_does_not_shorten_the_training() -> None:
    callback = Results(Path("runs/e/n"))
    callback.load_state_dict({"train_s": 60.0, "best": 0.5})
    callback.load_state_dict({"train_s": 20.0, "best": 0.4})
    assert callback.state_dict() == {"train_s": 60.0, "best": 0.5}


def test_without_a_run_folder_the_table_is_shown_and_nothing_written(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.trainer([Results()], limit_test_batches=1).test(tiny.module(), tiny.data(), verbose=False)
    assert "joint score" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_is_none_becomes_null(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", {"test/a": math.nan, "test/b": 0.5}, {"steps": 1})
    assert json.loads((tmp_path / "results.json").read_text()) == {"test/a": None, "test/b": 0.5, "meta": {"steps": 1}}


def test_a_disk_that_fills_up_leaves_the_results_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "results.json"
    write_results(file, {"test/score": 0.5}, {})
    before, write = file.read_text(), Path.write_text

    def full(path: Path, text: str, **options: Any) -> int:
        write(path, text[:9], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_results(file, {"test/score": 0.75}, {})
    assert file.read_text() == before


def test_a_test_that_measured_nothing_says_so_and_leaves_a_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tiny: Any
) -> None:
    trainer = SimpleNamespace(
        is_global_zero=True,
        callback_metrics={},
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        ckpt_path=None,
    )
    Results(tmp_path, show=False).on_test_end(trainer, tiny.module())  # type: ignore[arg-type]
    assert set(json.loads((tmp_path / "results.json").read_text())) == {"meta"}
    assert "the test has measured nothing" in caplog.text
