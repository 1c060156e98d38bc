"""Boxes on an annotated picture lie where they belong."""

from dataclasses import replace

import numpy as np
import torch

from mtl.drawing.annotated_image import annotate
from mtl.drawing.sample import Picture
from mtl.targets.overlay import Answer, Boxes, ClassMap, Overlay
from mtl.task import Task

TASKS = {
    "boxes": Task("boxes", "detection", class_names=("cat", "dog")),
    "scene": Task("scene", "classification", class_names=("in", "out")),
}
ORANGE = (0xFF, 0x7F, 0x0E)


def picture(size: tuple[int, int], box: list[float], answers: bool = True) -> Picture:
    found = Boxes(torch.tensor([box]), torch.tensor([1]), torch.tensor([0.75]))
    image = torch.full((3, *size), 40, dtype=torch.uint8)
    answer = {"scene": Overlay(answer=Answer("in", score=0.5))} if answers else {}
    return Picture(image, {"boxes": Overlay(found), **answer})


def test_a_box_is_drawn_where_it_is() -> None:
    drawn = np.asarray(annotate(picture((600, 800), [100.0, 200.0, 300.0, 400.0], answers=False), TASKS))
    assert drawn.shape == (600, 800, 3)
    assert all(tuple(drawn[y, x]) == ORANGE for y, x in ((400, 200), (300, 100), (300, 300)))
    assert tuple(drawn[300, 200]) == (40, 40, 40)


def test_a_small_picture_is_enlarged_with_its_boxes() -> None:
    drawn = np.asarray(annotate(picture((32, 48), [8.0, 8.0, 24.0, 24.0], answers=False), TASKS))
    assert drawn.shape == (320, 480, 3)
    assert tuple(drawn[240, 160]) == ORANGE


def test_answers_stand_in_a_strip_above_the_picture() -> None:
    drawn = np.asarray(annotate(picture((600, 800), [1.0, 1.0, 2.0, 2.0]), TASKS))
    strip = drawn[: len(drawn) - 600]
    assert len(strip) > 10
    assert strip.max() == 255
    assert strip.min() < 60


def test_boxes_beyond_the_edge_do_not_fail() -> None:
    drawn = annotate(picture((64, 64), [-50.0, -50.0, 500.0, 500.0], answers=False), TASKS)
    assert ORANGE in {tuple(pixel) for pixel in np.asarray(drawn).reshape(-1, 3)}


def test_a_class_map_is_laid_over_the_picture_and_the_unknown_is_left_as_it_is() -> None:
    image = torch.full((3, 600, 800), 40, dtype=torch.uint8)
    labels = torch.full((600, 800), -100)
    labels[:, 400:] = 1
    drawn = np.asarray(annotate(Picture(image, {"mask": Overlay(ClassMap(labels))}), {}))
    assert tuple(drawn[300, 100]) == (40, 40, 40)
    assert tuple(drawn[300, 700]) == tuple(round((40 + value) / 2) for value in ORANGE)


def test_a_sentence_stands_in_lines_above_the_answers() -> None:
    plain = picture((600, 800), [1.0, 1.0, 2.0, 2.0])
    heights = []
    for words in (0, 5, 40):
        shown = annotate(replace(plain, text=" ".join(["word"] * words)), TASKS)
        heights.append(shown.height)
        assert (np.asarray(shown)[-400:] == 40).all(), "the picture stays below the words"
    line = heights[1] - heights[0]
    assert line == heights[0] - 600
    assert heights[2] - heights[0] == line * (-(-40 * 5 // round(1.8 * 800 / 18)))
