"""A sample as a `wandb.Image`: boxes of predictions and ground truth that can be switched on and off by class."""

from collections.abc import Mapping
from typing import Any

from mtl.drawing.sample import Boxes, Picture, answer_text
from mtl.task import Task


def wandb_image(picture: Picture, tasks: Mapping[str, Task]) -> Any:
    """A `wandb.Image` whose boxes can be switched on and off by class.

    Args:
        picture: the sample.
        tasks: the tasks, by name.
    """
    import wandb

    layers = {}
    for what, groups in (("predictions", picture.predicted), ("ground_truth", picture.true)):
        for name, boxes in groups.items():
            key = what if len(groups) == 1 else f"{what}_{name}"
            names = {index: tasks[name].class_name(index) for index in range(tasks[name].num_classes)}
            layers[key] = {"box_data": _wandb_boxes(boxes, tasks[name]), "class_labels": names}
    caption = "  ".join(f"{name}: {answer_text(answer)}" for name, answer in picture.answers.items())
    return wandb.Image(picture.image.permute(1, 2, 0).numpy(), boxes=layers or None, caption=caption or None)


def _wandb_boxes(boxes: Boxes, task: Task) -> list[dict[str, Any]]:
    scores = boxes.scores.tolist() if boxes.scores is not None else [None] * len(boxes.labels)
    data = []
    # W&B takes Python numbers only, and reads pixels as shares of the picture unless told
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
