"""`affinity` and `group` from the command line: files, pictures, configs, and what is refused."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mtl.affinity.tables import read_affinity
from mtl.cli.main import main


def said(capsys: Any) -> str:
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_a_run_gets_tables_and_a_picture(trained: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["affinity", "--run", str(trained), "--batches", "2", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    files = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"GradientCosine.csv", "Lookahead.csv", "LabelInformation.csv", "affinity.png"} <= files
    assert "CKA.csv" not in files  # there are no single-task runs
    found = read_affinity(tmp_path / "out/GradientCosine.csv")
    assert list(found.names) == ["boxes", "largest"]
    assert found.mean_KK.diagonal().tolist() == pytest.approx([1.0, 1.0])
    assert "from" in said(capsys)


def test_several_checkpoints_give_curves_and_their_mean(trained: Path, tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    # an earlier point of the run, at which the weights were others
    state["global_step"] = 1
    state["state_dict"] = {
        name: value * 0.5 if name.endswith("weight") else value for name, value in state["state_dict"].items()
    }
    torch.save(state, run / "checkpoints/early.ckpt")
    words = ["affinity", "--run", str(run), "--batches", "2", "--measures", "GradientMagnitude", "LabelInformation"]
    assert main([*words, "--checkpoints", "early", "last", "--output", str(tmp_path / "out")]) == 0
    with (tmp_path / "out/over_training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["measure"] for row in rows] == ["GradientMagnitude"] * 2  # labels do not change
    assert [int(row["step"]) for row in rows] == [1, 2]
    both = [float(row["mean"]) for row in rows]
    assert both[0] != both[1]
    mean = read_affinity(tmp_path / "out/GradientMagnitude.csv").mean_KK
    assert float(mean[0, 1]) == pytest.approx(sum(both) / 2, rel=1e-4)
    assert (tmp_path / "out/over_training.png").stat().st_size > 5000
    assert main([*words, "--checkpoints", "none"]) != 0
    assert "has no checkpoint 'none.ckpt'" in said(capsys)


def test_labels_need_no_run(folder: Path, capsys: Any) -> None:
    assert main(["affinity", "--config", "tiny.yaml", "--output", "out", "--batches", "2"]) == 0
    assert {file.name for file in (folder / "out").iterdir()} == {"LabelInformation.csv", "affinity.png"}


def test_groups_become_configs_that_merge(folder: Path, capsys: Any) -> None:
    (folder / "a.csv").write_text("from,to,mean,std\n" + "".join(
        f"{i},{j},{-0.5 if i != j else 1},0\n" for i in ("boxes", "largest") for j in ("boxes", "largest")
    ))  # fmt: skip
    words = ["group", "--affinity", "a.csv", "--config", "tiny.yaml", "--output", "groups", "--networks"]
    assert main([*words, "2"]) == 0
    assert {file.name for file in (folder / "groups").iterdir()} == {"tiny_boxes.yaml", "tiny_largest.yaml"}
    assert yaml.safe_load((folder / "groups/tiny_boxes.yaml").read_text()) == {
        "base": "../tiny.yaml",
        "model": {"heads": {"largest": None}},
    }
    assert "warning" not in said(capsys)
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--config", "groups/tiny_boxes.yaml", "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert list(printed["model"]["heads"]) == ["boxes"]
    assert main([*words, "1"]) == 0
    assert "warning: boxes is likely to harm largest (-0.5)" in said(capsys)


def test_groups_become_branches_of_one_network_that_trains(folder: Path, capsys: Any) -> None:
    (folder / "a.csv").write_text("from,to,mean,std\n" + "".join(
        f"{i},{j},{-0.5 if i != j else 1},0\n" for i in ("boxes", "largest") for j in ("boxes", "largest")
    ))  # fmt: skip
    words = ["group", "--affinity", "a.csv", "--config", "tiny.yaml", "--output", "groups", "--networks", "2"]
    assert main([*words, "--tree-from", "2"]) == 0
    assert "one network that parts at stage 2: groups/tiny_tree.yaml" in said(capsys)
    assert {file.name for file in (folder / "groups").iterdir()} == {"tiny_tree.yaml"}
    tree = {"class_path": "Branched", "init_args": {"tree": {2: [["boxes"], ["largest"]]}}}
    assert yaml.safe_load((folder / "groups/tiny_tree.yaml").read_text())["model"] == {"architecture": tree}
    assert main(["fit", "--config", "groups/tiny_tree.yaml", "--trainer.max_epochs", "1"]) == 0
    shown = said(capsys)
    assert "Branched" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["affinity"], "needs --run RUN"),
        (["affinity", "--config", "tiny.yaml", "--checkpoints", "last"], "--checkpoints come from a run"),
        (["affinity", "--config", "none.yaml"], "there is no 'none.yaml'"),
        (["affinity", "--config", "tiny.yaml", "--measures", "Lookahed"], "Did you mean 'Lookahead'"),
        (["group", "--affinity", "none.csv", "--config", "tiny.yaml", "--networks", "1"], "there is no 'none.csv'"),
        (["group", "--affinity", "tiny.yaml", "--config", "tiny.yaml", "--networks", "1"], "is no affinity"),
    ],
)
def test_mistakes_are_named(folder: Path, words: list[str], message: str, capsys: Any) -> None:
    assert main(words) != 0
    assert message in said(capsys)
