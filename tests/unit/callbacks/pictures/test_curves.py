"""`curves.png` of whole and of interrupted runs."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback
from PIL import Image

from mtl.callbacks.pictures import curves
from mtl.callbacks.pictures.curves import Curves
from mtl.runs.metrics_csv import MetricsCSV


def test_a_run_leaves_its_curves(finished_run: Any) -> None:
    with Image.open(finished_run.folder / "pictures/curves.png") as picture:
        assert picture.width > 1500
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50


class Interrupt(Callback):
    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 2:
            raise RuntimeError("the power went")


def test_an_interrupted_run_leaves_its_curves(tiny: Any, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    trainer = tiny.trainer([Curves(), Interrupt()], logger=MetricsCSV(metrics))
    with pytest.raises(RuntimeError, match="the power went"):
        trainer.fit(tiny.module(), tiny.data())
    assert (tmp_path / "pictures/curves.png").is_file()


def test_an_error_while_drawing_does_not_hide_why_the_run_failed(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ImportError("killed by signal")

    monkeypatch.setattr(curves, "draw_curves", broken)
    trainer = tiny.trainer([Curves(), Interrupt()], logger=MetricsCSV(tmp_path / "metrics.csv"))
    with pytest.raises(RuntimeError, match="the power went"):
        trainer.fit(tiny.module(), tiny.data())
    assert "no curves of this run, which failed with RuntimeError: killed by signal" in caplog.text
