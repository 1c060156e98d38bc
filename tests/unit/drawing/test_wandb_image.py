"""What W&B gets are Python numbers in pixels, with names."""

import torch

from mtl.drawing.sample import Picture
from mtl.drawing.wandb_image import wandb_image
from mtl.targets.overlay import Answer, Boxes, ClassMap, Overlay
from mtl.task import Task

TASKS = {
    "boxes": Task("boxes", "detection", class_names=("cat", "dog")),
    "faces": Task("faces", "detection", class_names=("face",)),
    "scene": Task("scene", "classification", class_names=("in", "out")),
}
IMAGE = torch.zeros(3, 16, 16, dtype=torch.uint8)


def test_boxes_are_python_numbers_in_pixels_with_names() -> None:
    found = Boxes(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([1]), torch.tensor([0.5]))
    true = Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    shown = {"boxes": Overlay(found, true), "scene": Overlay(answer=Answer("in", "out", 0.5, False))}
    image = wandb_image(Picture(IMAGE, shown), TASKS)
    layers = image._boxes
    assert layers is not None
    (box,) = layers["predictions"]._val
    assert box == {
        "position": {"minX": 1.0, "minY": 2.0, "maxX": 3.0, "maxY": 4.0},
        "domain": "pixel",
        "class_id": 1,
        "box_caption": "dog 0.50",
        "scores": {"score": 0.5},
    }
    assert type(box["class_id"]) is int
    assert layers["predictions"]._class_labels == {0: "cat", 1: "dog"}
    assert layers["ground_truth"]._val == []
    assert image._caption == "scene: in, is out"


def test_two_detection_tasks_have_layers_of_their_own() -> None:
    boxes = Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    image = wandb_image(Picture(IMAGE, {"boxes": Overlay(boxes), "faces": Overlay(boxes)}), TASKS)
    assert image._boxes is not None
    assert set(image._boxes) == {"predictions_boxes", "predictions_faces"}


def test_a_picture_without_boxes_is_a_plain_image() -> None:
    image = wandb_image(Picture(IMAGE, {}), TASKS)
    assert image._boxes is None


def test_masks_are_bytes_with_a_class_for_what_nobody_annotated() -> None:
    tasks = {"mask": Task("mask", "segmentation", class_names=("road", "sky"))}
    true = torch.full((16, 16), -100)
    true[0, 0] = 1
    shown = Overlay(ClassMap(torch.ones(16, 16, dtype=torch.long)), ClassMap(true))
    image = wandb_image(Picture(IMAGE, {"mask": shown}), tasks)
    assert image._masks is not None
    assert set(image._masks) == {"predictions", "ground_truth"}
    assert image._masks["ground_truth"]._val["class_labels"] == {0: "road", 1: "sky", 2: "not annotated"}


def test_a_sentence_is_in_the_caption() -> None:
    shown = {"scene": Overlay(answer=Answer("in", "out", 0.5, False))}
    assert wandb_image(Picture(IMAGE, shown, "where is it"), TASKS)._caption == "where is it  scene: in, is out"
