"""Run folders, checkpoints and results of an enemy: nothing in them is run, and nothing is written elsewhere."""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mtl.cli.main import main
from mtl.evaluation.load import load_checkpoint

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run, to be spoiled."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "tiny" / "first"
    shutil.copytree(trained, folder)
    return folder


HYPER_PARAMETERS: dict[str, Any] = {
    "a function": {"class_path": "torch.utils.collect_env.run", "init_args": {"command": "touch hacked"}},
    "os": {"class_path": "os.system"},
    "an alias": {
        "class_path": "mtl.experiments.run_queue.subprocess.Popen",
        "init_args": {"args": ["touch", "hacked"]},
    },
    "a method": {"class_path": "mtl.heads.head.Head.metrics"},
    "a number": 5,
    "nothing": None,
}


@pytest.mark.parametrize("case", HYPER_PARAMETERS)
def test_a_checkpoint_builds_no_more_than_a_config_may(run: Path, capsys: Capture, case: str) -> None:
    file = run / "checkpoints" / "best.ckpt"
    state = torch.load(file, weights_only=True)
    state["hyper_parameters"]["heads"]["largest"] = HYPER_PARAMETERS[case]
    state["hyper_parameters"]["_instantiator"] = "os.system"
    torch.save(state, file)
    with pytest.raises(ValueError, match="cannot be rebuilt here"):
        load_checkpoint(file)
    (run.parents[2] / "images").mkdir()
    assert main(["predict", "--run", str(run), "--images", "images"]) in (1, 2)
    assert capsys.readouterr().err.count("\n") <= 5
    assert not (run.parents[2] / "hacked").exists()


class Payload:
    """Leaves a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch hacked",)


@pytest.mark.parametrize("command", ["test", "resume", "predict"])
def test_a_checkpoint_with_code_in_it_is_not_run(run: Path, capsys: Capture, command: str) -> None:
    for name in ("best", "last"):
        file = run / "checkpoints" / f"{name}.ckpt"
        torch.save({**torch.load(file, weights_only=True), "callbacks": Payload()}, file)
    (run.parents[2] / "images").mkdir()
    words = {
        "test": ["test", "--run", str(run)],
        "resume": ["fit", "--resume", str(run)],
        "predict": ["predict", "--run", str(run), "--images", "images"],
    }[command]
    assert main(words) in (1, 2)
    assert "could run code" in capsys.readouterr().err
    assert not (run.parents[2] / "hacked").exists()


def test_a_pickle_and_a_packed_file_are_no_checkpoints(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "evil.ckpt"
    file.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="could run code"):
        load_checkpoint(file)
    whole = run / "checkpoints" / "best.ckpt"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match="is compressed, which torch never does"):
        load_checkpoint(file)


@pytest.mark.parametrize("section", ["data", "model", "trainer"])
def test_the_config_of_a_run_is_checked_like_any_other(run: Path, capsys: Capture, section: str) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    evil = {"class_path": "torch.utils.collect_env.run", "init_args": {"command": "touch hacked"}}
    if section == "data":
        config["data"] = evil
    elif section == "model":
        config["model"]["heads"]["largest"] = evil
    else:
        config["trainer"]["callbacks"] = [evil]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for words in (["test", "--run", str(run)], ["fit", "--resume", str(run)], ["fit", "--run", str(run)]):
        assert main(words) == 2, words
        assert "refused to import" in capsys.readouterr().err
    if section == "data":
        assert main(["affinity", "--run", str(run)]) == 2
        assert "refused to import" in capsys.readouterr().err
    assert not (run.parents[2] / "hacked").exists()


@pytest.mark.parametrize("name", ["metrics.csv", "config.yaml", ".lock", "checkpoints/last.ckpt"])
def test_a_run_folder_with_links_is_not_written_to(run: Path, tmp_path: Path, capsys: Capture, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes((run / name).read_bytes() if (run / name).is_file() else b"")
    before = precious.read_bytes()
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(precious)
    assert main(["fit", "--resume", str(run), "--trainer.max_steps", "3"]) == 2
    assert "is a link to" in capsys.readouterr().err
    assert precious.read_bytes() == before


def test_a_checkpoint_cannot_name_files_elsewhere_for_deletion(run: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.ckpt"
    precious.write_text("keep me")
    file = run / "checkpoints" / "last.ckpt"
    state = torch.load(file, weights_only=True)
    (own,) = [value for key, value in state["callbacks"].items() if key.startswith("BestCheckpoint")]
    own.update(best_k_models={str(precious): torch.tensor(-1.0)}, kth_best_model_path=str(precious))
    own.update(best_model_path=str(precious), kth_value=torch.tensor(-1.0), best_model_score=torch.tensor(-1.0))
    torch.save(state, file)
    assert main(["fit", "--resume", str(run), "--trainer.max_steps", "4"]) == 0
    assert precious.read_text() == "keep me"
    assert not (run / "checkpoints" / "precious.ckpt").exists()


def test_a_report_of_hostile_results_says_what_is_wrong_and_writes_through_no_link(
    tmp_path: Path, capsys: Capture
) -> None:
    meta = {"tasks": {"a": {"monitor": "x", "lower_is_better": []}}, "steps": 1, "train_seconds": 1}
    good = {"test/score": 0.5, "test/a/x": 0.5, "meta": meta}
    contents = {
        "Good": json.dumps(good),
        "NoJSON": "{",
        "Deep": "[" * 100_000,
        "List": "[]",
        "Text": json.dumps({**good, "test/score": "high"}),
        "NoMeta": json.dumps({"test/score": 1}),
        "\\input{evil}": json.dumps(good),
        "Escape": json.dumps({**good, "test/\x1b[2J": 1}),
    }
    for name, text in contents.items():
        (tmp_path / "all" / name / "seed0").mkdir(parents=True)
        (tmp_path / "all" / name / "seed0" / "results.json").write_text(text)
    assert main(["report", "--runs", str(tmp_path / "all")]) == 0
    table = (tmp_path / "all" / "report.md").read_text()
    assert "| Good |" in table
    assert "input" not in table + (tmp_path / "all" / "report.tex").read_text()
    assert all(f"* {name} seed0: " in table for name in ("NoJSON", "Deep", "List", "Text", "NoMeta", "Escape"))
    capsys.readouterr()
    (tmp_path / "all" / "report.md").unlink()
    (tmp_path / "all" / "report.md").symlink_to(tmp_path / "precious")
    assert main(["report", "--runs", str(tmp_path / "all")]) == 2
    assert not (tmp_path / "precious").exists()
