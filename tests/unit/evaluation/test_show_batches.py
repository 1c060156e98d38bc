"""Batches drawn before training: what is drawn is the target, and only where it is annotated."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.cli.main import main
from mtl.data.augment.augment import Augment
from mtl.data.folder.voc_folder import VOCFolder
from mtl.evaluation.data.show_batches import show_batches, target_pictures
from mtl.targets.overlay import Boxes
from mtl.task import InputSpec


@pytest.fixture
def data(tmp_path: Path) -> VOCFolder:
    (tmp_path / "data").mkdir()
    arguments: Any = VOCFolder.example_args(tmp_path / "data")
    return VOCFolder(**{**arguments, "batch_size": 2})


def test_every_picture_shows_its_own_annotation(data: VOCFolder) -> None:
    shown = [picture for batch in target_pictures(data, 2) for picture in batch]
    assert shown
    found = set()
    for picture in shown:
        boxes, light = picture.overlays["boxes"], picture.overlays["light"]
        assert boxes.true is None
        if isinstance(boxes.predicted, Boxes):
            assert boxes.predicted.scores is None  # an annotation has none
            found.add(tuple(map(tuple, boxes.predicted.boxes.tolist())))
        assert light.answer is not None
        assert light.answer.predicted in ("day", "dusk", "not annotated")
    samples = [data.train_set[index] for index in range(len(data.train_set))]  # type: ignore[arg-type]
    known = {tuple(map(tuple, s["boxes"].tolist())) for s in samples if "boxes" in s}
    assert found
    assert found <= known  # without augmentation


@pytest.mark.parametrize(
    ("augment", "words"), [(None, "not annotated"), (Augment(zoom=(0.5, 2.0)), "not annotated, or lost in the crop")]
)
def test_an_unlabelled_sample_says_so(data: VOCFolder, augment: Augment | None, words: str) -> None:
    data.augment = augment
    batch = {"image": torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "light": torch.tensor([-100, 1])}
    batch["labelled/light"] = torch.tensor([False, True])
    data.tasks = {"light": data.tasks["light"]}
    data.setup = lambda stage: None  # type: ignore[method-assign]
    data.train_dataloader = lambda: [batch]  # type: ignore[method-assign, assignment, return-value]
    (pictures,) = target_pictures(data, 5)
    said = [picture.answers["light"].predicted for picture in pictures]
    assert said == [words, "dusk"]


def test_one_file_a_batch_and_other_inputs_are_refused(data: VOCFolder, tmp_path: Path) -> None:
    files = show_batches(data, tmp_path / "out", 1, 2)
    assert [file.name for file in files] == ["batch-1.png"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="at least 1"):
        show_batches(data, tmp_path / "out", 0)
    data.inputs = {"text": InputSpec("text", "tokens", 10)}
    with pytest.raises(ValueError, match=r"text \(tokens\)"):
        show_batches(data, tmp_path / "out")


def test_the_command_draws_a_config(data: VOCFolder, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "mine.yaml"
    root = (tmp_path / "data").as_posix()
    config.write_text(
        f"data:\n  class_path: VOCFolder\n  init_args:\n    root: {root}\n    box_classes: {list(data.box_classes)}\n"
        "    batch_size: 2\n    image_size: [32, 32]\n    augment:\n      class_path: Augment\n"
        "      init_args: {mosaic: 1.0, hue: 0.5}\n"
    )
    words = ["show", "--config", str(config), "--to", str(tmp_path / "out"), "--batches", "1"]
    assert main(words) == 0
    assert capsys.readouterr().out.strip().endswith("batch-1.png")
    assert main(["show", "--to", "x"]) == 2
