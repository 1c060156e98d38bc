"""One sample taken out of a batch, with right, wrong and missing answers."""

import colorsys
import itertools

import pytest
import torch

from mtl.drawing.sample import Answer, answer_text, class_colour, image_answer, take_picture
from mtl.task import Task

TASKS = {
    "boxes": Task("boxes", "detection", class_names=("cat", "dog")),
    "scene": Task("scene", "classification", class_names=("indoor", "outdoor")),
    "tags": Task("tags", "multilabel", class_names=("red", "green", "blue")),
    "count": Task("count", "regression"),
}


def batch() -> dict[str, torch.Tensor]:
    return {
        "image": torch.tensor([0.0, 0.5, 2.0])[:, None, None, None].expand(3, 3, 4, 4),
        "boxes": torch.tensor([[[0.0, 0, 2, 2], [9, 9, 9, 9]]]).expand(3, 2, 4),
        "box_labels": torch.tensor([[1, -1]]).expand(3, 2),
        "scene": torch.tensor([1, 0, -100]),
        "count": torch.tensor([2.0, 3.0, torch.nan]),
        "labelled/boxes": torch.tensor([True, True, False]),
        "labelled/scene": torch.tensor([True, True, False]),
        "labelled/count": torch.tensor([True, True, False]),
    }


def predictions() -> dict[str, dict[str, torch.Tensor]]:
    return {
        "boxes": {
            "boxes": torch.arange(48.0).view(3, 4, 4),
            "scores": torch.tensor([[0.2, 0.9, 0.5, 0.9]]).expand(3, 4),
            "labels": torch.tensor([[0, 1, 0, -1]]).expand(3, 4),
        },
        "scene": {"labels": torch.tensor([1, 1, 1]), "scores": torch.tensor([0.9, 0.8, 0.7])},
        "count": {"values": torch.tensor([2.25, 1.0, 0.0])},
    }


def test_detections_are_kept_from_a_score_on_best_first_without_padding() -> None:
    picture = take_picture(batch(), predictions(), 0, TASKS, min_score=0.3)
    found = picture.predicted["boxes"]
    assert found.scores is not None
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.labels.tolist() == [1, 0]
    assert found.boxes.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert picture.true["boxes"].boxes.tolist() == [[0, 0, 2, 2]]


def test_what_is_not_annotated_is_neither_true_nor_wrong() -> None:
    picture = take_picture(batch(), predictions(), 2, TASKS)
    assert picture.true == {}
    assert picture.answers == {
        "scene": Answer("outdoor", score=pytest.approx(0.7)),
        "count": Answer("0.00"),
    }


def test_right_and_wrong_answers_are_told_apart() -> None:
    right, wrong = (take_picture(batch(), predictions(), index, TASKS).answers for index in (0, 1))
    assert right["scene"].correct is True
    assert wrong["scene"] == Answer("outdoor", "indoor", pytest.approx(0.8), False)
    assert wrong["count"] == Answer("1.00", "3")
    assert (answer_text(right["scene"]), answer_text(wrong["scene"])) == ("outdoor", "outdoor, is indoor")


def test_several_labels_are_listed() -> None:
    found = {"labels": torch.tensor([[1, 0, 1]]), "probabilities": torch.zeros(1, 3)}
    assert image_answer(found, 0, TASKS["tags"], torch.tensor([1.0, 0, 1])) == Answer(
        "red blue", "red blue", None, True
    )
    assert image_answer(found, 0, TASKS["tags"], torch.zeros(3)) == Answer("red blue", "none", None, False)
    assert image_answer(found, 0, TASKS["tags"]) == Answer("red blue")


def test_a_prediction_that_is_no_answer_is_left_out() -> None:
    assert image_answer({"mask": torch.zeros(1, 4, 4)}, 0, TASKS["scene"]) is None


@pytest.mark.parametrize(("index", "grey"), [(0, 0), (1, 128), (2, 255)])
def test_float_images_become_bytes(index: int, grey: int) -> None:
    picture = take_picture(batch(), predictions(), index, TASKS)
    assert picture.image.dtype == torch.uint8
    assert picture.image.unique().tolist() == [grey]


def test_classes_that_follow_each_other_differ_in_colour() -> None:
    colours = [class_colour(index) for index in range(60)]
    assert len(set(colours)) == 60
    hues = [colorsys.rgb_to_hsv(*(int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0] for c in colours[10:]]
    gaps = [min(abs(a - b), 1 - abs(a - b)) for a, b in itertools.pairwise(hues)]
    assert min(gaps) > 0.3
