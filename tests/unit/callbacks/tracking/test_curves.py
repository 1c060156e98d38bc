"""The panels of `curves.png`, of whole and of interrupted runs."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback
from PIL import Image

from mtl.callbacks.tracking import curves
from mtl.callbacks.tracking.curves import Curves, draw_curves, smoothed
from mtl.runs.metrics_csv import MetricsCSV


def titles(series: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    drawn: list[tuple[str, list[str]]] = []
    draw = curves.draw_panel

    def watch(axis: Any, panel: Any, lines: Any, colours: Any) -> None:
        drawn.append((panel.title, list(lines)))
        draw(axis, panel, lines, colours)

    monkeypatch.setattr(curves, "draw_panel", watch)
    assert draw_curves(series, tmp_path / "curves.png")
    return drawn


def test_every_group_of_numbers_has_a_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ([0, 1, 2], [3.0, 2.0, 1.0])
    names = [
        "train/loss/boxes", "train/loss/scene", "train/loss", "val/loss/boxes", "val/boxes/map", "val/boxes/map/cat",
        "val/score", "lr/model", "weights/boxes", "grad_norm/trunk", "epoch", "test/boxes/map",
    ]  # fmt: skip
    assert titles(dict.fromkeys(names, line), tmp_path, monkeypatch) == [
        ("training loss", ["boxes", "scene"]),
        ("validation loss", ["boxes"]),
        ("joint validation score", [""]),
        ("boxes: validation metrics", ["map"]),
        ("task weights", ["boxes"]),
        ("gradient norms", ["trunk"]),
        ("learning rate", ["model"]),
    ]


def test_zero_and_negative_losses_are_drawn_too(tmp_path: Path) -> None:
    assert draw_curves({"train/loss/a": (list(range(30)), [0.0, -1.0] * 15)}, tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.width > 300


def test_nothing_to_draw_writes_nothing(tmp_path: Path) -> None:
    assert not draw_curves({"epoch": ([0], [0.0])}, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_smoothing_shifts_nothing() -> None:
    straight = [float(value) for value in range(100)]
    assert smoothed(straight) == pytest.approx(straight)
    assert smoothed([0.0, 3.0, 0.0] * 20)[30] == pytest.approx(1.0)


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
