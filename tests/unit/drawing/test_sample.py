"""One sample taken out of a batch, with right, wrong and missing answers."""

import colorsys
import itertools

import pytest
import torch
from torch import nn

from mtl.drawing.sample import as_rgb, class_colour, take_picture, text_of
from mtl.inputs.input import input_kind
from mtl.targets.overlay import Answer, Boxes
from mtl.targets.target import target_of
from mtl.task import InputSpec, Task

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
    found, true = picture.overlays["boxes"].predicted, picture.overlays["boxes"].true
    assert isinstance(found, Boxes)
    assert isinstance(true, Boxes)
    assert found.scores is not None
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.labels.tolist() == [1, 0]
    assert found.boxes.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert true.boxes.tolist() == [[0, 0, 2, 2]]


def test_what_is_not_annotated_is_neither_true_nor_wrong() -> None:
    picture = take_picture(batch(), predictions(), 2, TASKS)
    assert picture.overlays["boxes"].true is None
    assert picture.answers == {
        "scene": Answer("outdoor", score=pytest.approx(0.7)),
        "count": Answer("0"),
    }


def test_right_and_wrong_answers_are_told_apart() -> None:
    right, wrong = (take_picture(batch(), predictions(), index, TASKS).answers for index in (0, 1))
    assert right["scene"].correct is True
    assert wrong["scene"] == Answer("outdoor", "indoor", pytest.approx(0.8), False)
    assert wrong["count"] == Answer("1", "3")
    assert (str(right["scene"]), str(wrong["scene"])) == ("outdoor", "outdoor, is indoor")


def test_several_labels_are_listed() -> None:
    found = {"labels": torch.tensor([[1, 0, 1]]), "probabilities": torch.zeros(1, 3)}
    tags = target_of(TASKS["tags"])
    same, none = {"tags": torch.tensor([[1.0, 0, 1]])}, {"tags": torch.zeros(1, 3)}
    assert tags.overlay(found, 0, same).answer == Answer("red blue", "red blue", None, True)
    assert tags.overlay(found, 0, none).answer == Answer("red blue", "none", None, False)
    assert tags.overlay(found, 0).answer == Answer("red blue")


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, [1, 1, 1]), (2, [1, 2, 0]), (3, [1, 2, 3]), (5, [1, 2, 3])], ids=str
)
def test_images_of_any_number_of_channels_are_shown(channels: int, shown: list[int]) -> None:
    image = torch.arange(1, channels + 1, dtype=torch.uint8)[:, None, None].expand(channels, 4, 6)
    assert as_rgb(image)[:, 2, 3].tolist() == shown
    assert as_rgb(image).shape == (3, 4, 6)


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


def test_the_sentence_of_a_sample_and_what_it_lacks() -> None:
    words = ("<padding>", "<unknown>", "where", "is", "it")
    inputs = {
        "image": InputSpec("image", "image", 3, optional=True),
        "words": InputSpec("words", "tokens", names=words, optional=True),
        "letters": InputSpec("letters", "characters", names=("<padding>", "<unknown>", *"abc")),
        "row": InputSpec("row", "table", names=("age", "age missing")),
    }
    batch = {
        "words": torch.tensor([[2, 3, 4], [2, 1, 0], [0, 0, 0]]),
        "letters": torch.ones(3, 3, 2, dtype=torch.long),
        "present/words": torch.tensor([True, True, False]),
        "present/image": torch.tensor([True, False, True]),
    }
    found = [text_of(inputs, batch, index) for index in range(3)]
    assert found == ["where is it", "(no image) where <unknown>", "(no words)"]
    prepared = nn.ModuleDict({name: input_kind(spec)(spec) for name, spec in inputs.items()})
    assert [text_of(prepared, batch, index) for index in range(3)] == found
    assert text_of({"image": InputSpec("image", "image", 3)}, batch, 1) == ""
