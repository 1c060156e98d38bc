"""A sample as a `wandb.Image`: boxes and masks of predictions and truth that can be switched on and off by class."""

from collections.abc import Mapping
from typing import Any

import torch

from mtl.drawing.maps import map_panels
from mtl.drawing.sample import Picture
from mtl.targets.overlay import Boxes, ClassMap
from mtl.task import Task


def wandb_image(picture: Picture, tasks: Mapping[str, Task]) -> Any:
    """A `wandb.Image` whose boxes and masks can be switched on and off by class.

    Args:
        picture: the sample.
        tasks: the tasks, by name.
    """
    import wandb

    boxes, masks = {}, {}
    for what in ("predictions", "ground_truth"):
        shapes = {
            name: overlay.predicted if what == "predictions" else overlay.true
            for name, overlay in picture.overlays.items()
        }
        shapes = {name: shape for name, shape in shapes.items() if shape is not None}
        for name, shape in shapes.items():
            alone = sum(type(other) is type(shape) for other in shapes.values()) == 1
            key = what if alone else f"{what}_{name}"
            names = {index: tasks[name].class_name(index) for index in range(tasks[name].num_classes)}
            if isinstance(shape, Boxes):
                boxes[key] = {"box_data": _box_data(shape, tasks[name]), "class_labels": names}
            if isinstance(shape, ClassMap):
                # W&B takes 0 to 255; what nobody knows is a class of its own
                unknown = min(255, tasks[name].num_classes)
                data = shape.labels.where(shape.labels >= 0, unknown).clamp(max=255).byte().numpy()
                masks[key] = {"mask_data": data, "class_labels": {**names, unknown: "not annotated"}}
    answers = [f"{name}: {answer}" for name, answer in picture.answers.items()]
    caption = "  ".join([picture.text, *answers] if picture.text else answers)
    pixels = picture.image.permute(1, 2, 0).numpy()
    return wandb.Image(pixels, boxes=boxes or None, masks=masks or None, caption=caption or None)


def wandb_images(picture: Picture, tasks: Mapping[str, Task]) -> list[Any]:
    """`wandb_image` of a sample, and for each task with numbers or directions a picture of its map beside the truth.

    Args:
        picture: the sample.
        tasks: the tasks, by name.
    """
    import wandb

    images = [wandb_image(picture, tasks)]
    for name, (found, true) in map_panels(picture).items():
        if not isinstance(picture.overlays[name].predicted, ClassMap):  # W&B switches masks on and off itself
            pixels = found if true is None else torch.cat((found, true), -1)
            caption = f"{name}: predicted" + ("" if true is None else ", true")
            images.append(wandb.Image(pixels.permute(1, 2, 0).numpy(), caption=caption))
    return images


def _box_data(boxes: Boxes, task: Task) -> list[dict[str, Any]]:
    scores = boxes.scores.tolist() if boxes.scores is not None else [None] * len(boxes.labels)
    data = []
    # W&B takes Python numbers only, and by default reads pixels as shares of the picture
    for (x0, y0, x1, y1), label, score in zip(boxes.boxes.tolist(), boxes.labels.tolist(), scores, strict=True):
        entry: dict[str, Any] = {
            "position": {"minX": x0, "minY": y0, "maxX": x1, "maxY": y1},
            "domain": "pixel",
            "class_id": int(label),
            "box_caption": task.class_name(int(label)) + ("" if score is None else f" {score:.2f}"),
        }
        if score is not None:
            entry["scores"] = {"score": score}
        data.append(entry)
    return data
