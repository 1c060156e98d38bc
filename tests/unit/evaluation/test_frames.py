"""A sequence of pictures as numbered frames, and as a video where ffmpeg is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from mtl.cli.main import main
from mtl.evaluation.predictions.frames import Frames, in_order
from mtl.evaluation.predictions.prediction_files import Found
from mtl.targets.overlay import Boxes, ClassMap, Overlay
from mtl.task import Task

TASKS = {"boxes": Task("boxes", "detection", 2), "scene": Task("scene", "segmentation", 2)}


def frames(folder: Path, names: list[str], fps: float = 5) -> Frames:
    made = Frames(folder / "out", TASKS, names, fps)
    for place, name in enumerate(names):
        Image.new("RGB", (200, 101), (40 * place, 0, 90)).save(folder / name)
        boxes = Boxes(torch.tensor([[20.0 + 10 * place, 20, 80, 60]]), torch.tensor([1]), torch.tensor([0.9]))
        labels = torch.full((101, 200), -1)
        labels[70:, 100:] = 1
        overlays = {"boxes": Overlay(boxes, None), "scene": Overlay(ClassMap(labels), None)}
        made.write(Found(folder / name, name, 101, 200, overlays))
    return made


def test_numbers_in_names_give_the_order() -> None:
    assert in_order(["a10.png", "a9.png", "a9b.png", "b1/x.png", "3.png"]) == [
        "3.png", "a9.png", "a9b.png", "a10.png", "b1/x.png",
    ]  # fmt: skip


def test_frames_show_boxes_and_masks_and_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (tmp_path / "out/frames").mkdir(parents=True)
    for old in ("000009.png", "mine.png"):
        (tmp_path / "out/frames" / old).touch()
    made = frames(tmp_path, ["f2.png", "f10.png"])
    assert sorted(path.name for path in made.folder.iterdir()) == ["000001.png", "000002.png", "mine.png"]
    with Image.open(made.folder / "000001.png") as picture:
        zoom = picture.width // 200
        plain, outline, masked = (
            picture.convert("RGB").getpixel((x * zoom, y * zoom)) for x, y in ((150, 20), (50, 20), (180, 90))
        )
    assert plain == (0, 0, 90)
    assert outline != plain
    assert masked != plain
    assert made.join() == f"2 frames in {made.folder}; there is no ffmpeg here to make a video of them"


def test_ffmpeg_makes_a_video_of_frames_of_odd_size(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg")
    made = frames(tmp_path, ["f1.png", "f2.png", "f3.png"])
    Image.new("RGB", (50, 300)).save(made.folder / "000002.png")  # another size
    assert made.join().endswith(f"video: {made.video}")
    words = ["-v", "error", "-i", str(made.video), "-map", "0:v", "-f", "framemd5", "-"]
    told = subprocess.run([shutil.which("ffmpeg") or "", *words], capture_output=True, text=True, check=True).stdout
    assert len({line.split(",")[-1] for line in told.splitlines() if not line.startswith("#")}) == 3


def test_a_folder_is_predicted_as_a_sequence(trained: Path, tmp_path: Path) -> None:
    for number in (2, 10):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / f"frame_{number}.png")
    words = ["predict", "--run", str(trained), "--images", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main([*words, "--video", "10"]) == 0
    assert sorted(path.name for path in (tmp_path / "out/frames").iterdir()) == ["000001.png", "000002.png"]
    assert not (tmp_path / "out/pictures").exists()
    assert main([*words, "--video", "0"]) == 1
    assert main([*words, "--video", "10", "--pictures", "none"]) == 1
