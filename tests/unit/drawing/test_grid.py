"""The grid of samples: its size and its colours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtl.drawing.grid import draw_grid
from mtl.drawing.sample import Picture
from mtl.targets.overlay import Answer, Boxes, Overlay
from mtl.task import Task

TASKS = {
    "boxes": Task("boxes", "detection", class_names=("cat", "dog")),
    "scene": Task("scene", "classification", class_names=("in", "out")),
}


def picture(correct: bool | None = True, with_boxes: bool = True) -> Picture:
    box = torch.tensor([[8.0, 8.0, 24.0, 24.0]])
    found = Overlay(Boxes(box, torch.tensor([1]), torch.tensor([0.75])), Boxes(box + 2, torch.tensor([1])))
    image = torch.full((3, 32, 48), 40, dtype=torch.uint8)
    scene = Overlay(answer=Answer("in", "in" if correct else "out", 0.5, correct))
    return Picture(image, {**({"boxes": found} if with_boxes else {}), "scene": scene})


def colours(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        return {tuple(pixel) for pixel in np.asarray(image.convert("RGB")).reshape(-1, 3)}


@pytest.mark.parametrize("number", [1, 5])
def test_the_grid_grows_with_the_samples(tmp_path: Path, number: int) -> None:
    draw_grid([picture()] * number, TASKS, tmp_path / "grid.png", columns=4)
    with Image.open(tmp_path / "grid.png") as image:
        assert image.width == round(min(number, 4) * 2.6 * 130)


def test_a_wrong_answer_is_framed_in_red_and_a_right_one_is_not(tmp_path: Path) -> None:
    draw_grid([picture(correct=True)], TASKS, tmp_path / "right.png")
    draw_grid([picture(correct=False)], TASKS, tmp_path / "wrong.png")
    assert (0xC1, 0x12, 0x1F) in colours(tmp_path / "wrong.png")
    assert (0xC1, 0x12, 0x1F) not in colours(tmp_path / "right.png")


def test_predicted_boxes_have_the_colour_of_their_class(tmp_path: Path) -> None:
    draw_grid([picture()], TASKS, tmp_path / "with.png")
    draw_grid([picture(with_boxes=False)], TASKS, tmp_path / "without.png")
    assert (0xFF, 0x7F, 0x0E) in colours(tmp_path / "with.png")
    assert (0xFF, 0x7F, 0x0E) not in colours(tmp_path / "without.png")


def test_a_sentence_stands_above_its_picture_in_lines_that_fit(tmp_path: Path) -> None:
    heights = []
    for words in (0, 4, 14, 500):
        shown = replace(picture(), text=" ".join(["word"] * words))
        draw_grid([shown, picture()], TASKS, tmp_path / f"{words}.png")
        with Image.open(tmp_path / f"{words}.png") as image:
            heights.append(image.height)
    assert heights == sorted(set(heights)), "a line more each time"
    assert heights[3] - heights[0] == pytest.approx(4 * 0.14 * 130, abs=2), "four lines at most"
    assert (0x1D, 0x4E, 0x89) in colours(tmp_path / "4.png")
    assert (0x1D, 0x4E, 0x89) not in colours(tmp_path / "0.png")


def test_rejects_a_grid_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sample to draw"):
        draw_grid([], TASKS, tmp_path / "grid.png")


@pytest.mark.parametrize("number", [1, 4, 12])
def test_the_answers_above_the_first_row_are_whole(tmp_path: Path, number: int) -> None:
    draw_grid([picture(correct=False)] * number, TASKS, tmp_path / "grid.png", name_true=True)
    with Image.open(tmp_path / "grid.png") as image:
        ink = (np.asarray(image.convert("RGB")) < 200).any((1, 2))
    assert int(ink.argmax()) >= 4  # pixels of margin
