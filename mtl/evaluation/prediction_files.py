"""What `predict` writes: a COCO document, a table, annotated copies and masks."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mtl.data.images import read_image
from mtl.drawing.annotated_image import annotate
from mtl.drawing.sample import Picture
from mtl.targets.overlay import Boxes, ClassMap, Directions, Overlay, ValueMap
from mtl.targets.target import target_of
from mtl.task import Task


@dataclass(frozen=True)
class Found:
    """What was predicted for one file, in its own pixels.

    Args:
        path: the file.
        name: its path below the folder of pictures.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        overlays: what each task has to show.
    """

    path: Path
    name: str
    height: int
    width: int
    overlays: dict[str, Overlay]


def coco_document(found: list[Found], tasks: Mapping[str, Task]) -> dict[str, Any]:
    """All boxes as a COCO document; ids count from 1, through all detection tasks.

    Args:
        found: at least one picture.
        tasks: the tasks, by name.
    """
    detection = [tasks[name] for name, shown in found[0].overlays.items() if isinstance(shown.predicted, Boxes)]
    ids: dict[tuple[str, int], int] = {}
    for task in detection:
        for label in range(task.num_classes):
            ids[task.name, label] = len(ids) + 1
    categories = [
        {"id": number, "name": tasks[name].class_name(label), "supercategory": name}
        for (name, label), number in ids.items()
    ]
    annotations: list[dict[str, Any]] = []
    for image_id, one in enumerate(found, start=1):
        for name, shown in one.overlays.items():
            boxes = shown.predicted
            if not isinstance(boxes, Boxes):
                continue
            assert boxes.scores is not None
            rows = zip(boxes.boxes.tolist(), boxes.labels.tolist(), boxes.scores.tolist(), strict=True)
            for (x0, y0, x1, y1), label, score in rows:
                box = [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)]
                entry = {"id": len(annotations) + 1, "image_id": image_id, "category_id": ids[name, label], "bbox": box}
                annotations.append({**entry, "area": round(box[2] * box[3], 2), "iscrowd": 0, "score": round(score, 5)})
    images = [
        {"id": image_id, "file_name": one.name, "width": one.width, "height": one.height}
        for image_id, one in enumerate(found, start=1)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_csv(found: list[Found], tasks: Mapping[str, Task], path: Path) -> None:
    """One row per picture: answers with their scores, and the number of boxes of each class.

    Args:
        found: the pictures.
        tasks: the tasks, by name.
        path: the file to write.
    """
    rows = []
    for one in found:
        row: dict[str, Any] = {"file_name": one.name}
        for name, shown in one.overlays.items():
            row |= target_of(tasks[name]).row(shown)
        rows.append(row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(column for row in rows for column in row)))
        writer.writeheader()
        writer.writerows(rows)


def write_picture(one: Found, tasks: Mapping[str, Task], output: Path) -> None:
    """The annotated copy of one picture, its masks (a class index in every pixel) and its maps of numbers (`.npy`).

    Args:
        one: the picture.
        tasks: the tasks, by name.
        output: the folder of all results.
    """
    # the whole name, so that a.jpg and a.png do not meet
    path = output / "pictures" / f"{one.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    annotate(Picture(read_image(one.path), one.overlays), tasks).save(path)
    for name, shown in one.overlays.items():
        if isinstance(shown.predicted, ClassMap):
            mask = output / "masks" / name / f"{one.name}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shown.predicted.labels.to(torch.int32).numpy().astype("uint16")).save(mask)
        elif isinstance(shown.predicted, ValueMap | Directions):
            values = output / "maps" / name / f"{one.name}.npy"
            values.parent.mkdir(parents=True, exist_ok=True)
            shape = shown.predicted
            np.save(values, (shape.values if isinstance(shape, ValueMap) else shape.vectors).numpy())
