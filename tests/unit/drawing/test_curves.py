"""The panels of `curves.png`."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtl.drawing import curves
from mtl.drawing.curves import draw_curves, smoothed


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
