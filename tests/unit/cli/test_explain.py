"""`explain` from the command line: tables, pictures, what is left out, and what is refused."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from mtl.affinity.sharing.sharing_measure import Finding
from mtl.affinity.sharing.subspace_overlap import SubspaceOverlap
from mtl.cli.explain import _tables
from mtl.cli.main import main


def said(capsys: Any) -> str:
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_gets_a_table_and_a_picture_of_each_measure(trained: Path, tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    state["global_step"] = 1
    torch.save(state, run / "checkpoints/early.ckpt")
    assert main(["explain", "--run", str(run), "--checkpoint", "last", "--batches", "2"]) == 0
    assert "LayerwiseCKA compares single-task networks: name a run of each task with --single" in said(capsys)
    made = run / "explanation"
    names = {"ProjectOut", "SubspaceOverlap", "Probes", "LayerCosines"}
    assert {path.name for path in made.iterdir()} == {f"{name}.{end}" for name in names for end in ("csv", "png")}
    shares = rows(made / "ProjectOut.csv")
    assert list(shares[0]) == ["level", "from", "to", "value", "random", "own damage"]
    assert {(row["from"], row["to"]) for row in shares} == {("boxes", "largest"), ("largest", "boxes")}
    assert [row["level"] for row in shares[::2]] == [*(f"stage {index}" for index in range(4)), "cut p2"]
    assert {int(row["step"]) for row in rows(made / "LayerCosines.csv")} == {1, 2}
    assert {"raw input", "untrained"} < set(rows(made / "Probes.csv")[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--measures", "ProjektOut"], "no measure of sharing 'ProjektOut'. Did you mean 'ProjectOut'"),
        (["--batches", "1"], "probes train on half of them and test on the others"),
        (["--checkpoint", "none"], "has no checkpoint 'none.ckpt'"),
        (["--single", "RUN"], "the model has tasks boxes, largest; give runs of one task each"),
    ],
)
def test_what_cannot_be_explained_is_said(trained: Path, capsys: Any, words: list[str], message: str) -> None:
    words = [str(trained) if word == "RUN" else word for word in words]
    assert main(["explain", "--run", str(trained), *words]) != 0
    assert message in said(capsys)
    assert not (trained / "explanation").exists()


@pytest.mark.parametrize("num_levels", [5, 30])
def test_tables_of_many_tasks_and_layers_are_whole_in_80_letters(num_levels: int) -> None:
    tasks = ("segmentation", "depth", "normals", "boxes", "room")
    findings = [
        Finding(f"level {level}", a, b, float("nan") if b == "room" else 0.125 * level, {"chance": 0.44})
        for level in range(num_levels)
        for place, a in enumerate(tasks)
        for b in tasks[place + 1 :]
    ]
    with (console := Console(width=80)).capture() as captured:
        console.print(*_tables(SubspaceOverlap, findings), sep="\n")
    text = captured.get()
    assert "\u2026" not in text
    assert "nan" not in text
    assert text.count("(chance") == 6 * num_levels
    assert f"{0.125 * (num_levels - 1):.2f}" in text
