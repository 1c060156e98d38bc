"""Predictions as annotation files are read back by the loaders of the same formats; pictures are named in many ways."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtl.config.yaml_lines import ConfigError
from mtl.data.folder.voc_folder import VOCFolder
from mtl.data.folder.yolo_folder import YOLOFolder
from mtl.evaluation.predictions.annotation_formats import annotation_formats
from mtl.evaluation.predictions.picture_sources import list_pictures
from mtl.evaluation.predictions.prediction_files import Found
from mtl.targets.overlay import Boxes, Overlay
from mtl.task import Task

TASKS = {"boxes": Task("boxes", "detection", class_names=("a cat", "R&D"))}
BOXES = torch.tensor([[3.0, 2.0, 30.0, 20.0], [10.0, 5.0, 40.0, 24.0]])


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """A picture of 48 x 32 pixels with two predicted boxes."""
    path = tmp_path / "images/deep/p.jpg"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(path)
    shown = Overlay(Boxes(BOXES, torch.tensor([0, 1]), torch.tensor([0.9, 0.4])))
    return Found(path, "deep/p.jpg", 32, 48, {"boxes": shown})


def test_yolo_files_are_read_back_by_the_yolo_loader(found: Found, tmp_path: Path) -> None:
    (form,) = annotation_formats(["coco", "csv", "yolo"], tmp_path, TASKS)
    form.add(found)
    file = tmp_path / "labels/deep/p.txt"
    assert [len(line.split()) for line in file.read_text().splitlines()] == [6, 6]
    # the loader takes boxes without a score, as people correct them
    file.write_text("\n".join(" ".join(line.split()[:5]) for line in file.read_text().splitlines()))
    data = YOLOFolder(str(tmp_path), images="images")
    assert data.box_classes == ("a cat", "R&D")
    data.names()
    record = data.record("deep/p")
    np.testing.assert_allclose(record.boxes, BOXES.numpy(), atol=1e-3)
    assert record.classes == ["a cat", "R&D"]


def test_voc_files_are_read_back_by_the_voc_loader(found: Found, tmp_path: Path) -> None:
    (form,) = annotation_formats(["voc"], tmp_path, TASKS)
    form.add(found)
    data = VOCFolder(str(tmp_path))
    assert data.box_classes == ("R&D", "a cat")
    data.names()
    record = data.record("deep/p")
    np.testing.assert_allclose(record.boxes, BOXES.numpy())
    assert (record.classes, record.declared) == (["a cat", "R&D"], (32, 48))


def test_two_pictures_of_one_file_are_told_apart(found: Found, tmp_path: Path) -> None:
    for form in annotation_formats(["voc", "yolo"], tmp_path, TASKS):
        form.add(found)
        before = (tmp_path / form.folder / f"deep/p{form.suffix}").read_text()
        with pytest.raises(ValueError, match=r"deep/p\.(xml|txt), which holds the boxes of 'deep/p\.jpg'"):
            form.add(replace(found, name="deep/p.png", overlays={}))
        assert (tmp_path / form.folder / f"deep/p{form.suffix}").read_text() == before


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there are coco, csv, voc, yolo\. Did you mean 'yolo'\?"):
        annotation_formats(["yol"], tmp_path, TASKS)
    scene = {"scene": Task("scene", "classification", 2)}
    with pytest.raises(ConfigError, match=r"yolo is for boxes.*\(scene\) is in the CSV"):
        annotation_formats(["csv", "yolo"], tmp_path, scene)
    assert annotation_formats(["csv", "coco"], tmp_path, scene) == []
    two = TASKS | {"far": Task("far", "detection", class_names=("a cat",))}
    assert list(annotation_formats(["voc"], tmp_path, two)[0].names.values()) == [
        "boxes/a cat", "boxes/R&D", "far/a cat",
    ]  # fmt: skip


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.jpg", "in/b.png", "in/deep/c.jpg", "in/notes.md", "other/d.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("in/list.txt").write_text("a.jpg\ndeep/c.jpg\n\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["in/a.jpg", "other"], ["in/a.jpg", "other"]),
        (["in/*"], ["in/a.jpg", "in/b.png", "in/deep"]),
        (["in/**/*.jpg"], ["in/a.jpg", "in/deep/c.jpg"]),
        (["in/list.txt", "in/a.jpg"], ["in/a.jpg", "in/deep/c.jpg"]),
        (["-"], ["other/d.jpg", "in/a.jpg"]),
    ],
)
def test_words_name_pictures(pictures: Path, words: list[str], wanted: list[str]) -> None:
    found = list_pictures(words, ["other/d.jpg\n", "in/a.jpg\n"])
    assert [path.as_posix() for path in found] == wanted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "there is no folder 'nowhere'"),
        (["in/*.webp"], "no picture .* matches 'in/\\*.webp'"),
        (["-"], "the standard input names 1 of 1 files that are not there; the first is 'gone.jpg'"),
    ],
)
def test_a_word_that_names_nothing_is_refused(pictures: Path, words: list[str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        list_pictures(words, ["gone.jpg\n"])
