"""What a report leaves in W&B, read back from the offline file."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtl.cli.queue.tables_to_wandb import tables_to_wandb


def write(folder: Path) -> list[Path]:
    (folder / "report.csv").write_text("row,score\nEqual,0.5\nMGDA,\n")
    (folder / "report.md").write_text("not for W&B")
    Image.new("RGB", (4, 4)).save(folder / "tasks.png")
    return [folder / name for name in ("report.csv", "report.md", "tasks.png")]


def test_tables_and_pictures_are_logged_in_a_run_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    logged: dict[str, Any] = {}
    started: dict[str, Any] = {}
    begin = wandb.init

    def watched(**options: Any) -> Any:
        started.update(options)
        run = begin(**options)
        monkeypatch.setattr(run, "log", logged.update)
        return run

    monkeypatch.setattr(wandb, "init", watched)
    tables_to_wandb("offline", tmp_path, "digits", write(tmp_path))
    assert (started["project"], started["group"], started["mode"]) == ("digits", "report", "offline")
    assert list(logged) == ["report/csv", "tasks/png"]
    assert logged["report/csv"].columns == ["row", "score"]
    assert logged["report/csv"].data == [["Equal", 0.5], ["MGDA", None]]
    assert list(tmp_path.glob("wandb/offline-run-*"))


def test_off_starts_nothing(tmp_path: Path) -> None:
    tables_to_wandb("off", tmp_path, "digits", write(tmp_path))
    assert not (tmp_path / "wandb").exists()
