"""A folder of pictures through a trained model: COCO JSON, a CSV, and annotated copies."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich import get_console
from torch import Tensor

from mtl.batch import boxes_to_original
from mtl.data.images import SUFFIXES, read_image
from mtl.data.resize import FitMode, read_fitted
from mtl.drawing.annotated_image import annotate
from mtl.drawing.sample import Answer, Boxes, Picture, image_answer, predicted_boxes
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.task import Task

_MOST_NAMES = 10  # of skipped files on the screen


@dataclass(frozen=True)
class _Found:
    """What was predicted for one file; boxes in its own pixels."""

    path: Path
    name: str
    height: int
    width: int
    boxes: dict[str, Boxes]
    answers: dict[str, Answer]


@dataclass
class _Skipped:
    names: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def predict_folder(
    model: MultiTaskModel | MultiTaskLightningModule,
    images: Path,
    output: Path,
    image_size: Sequence[int] | int | None,
    score_threshold: float = 0.3,
    batch_size: int = 16,
    fit: FitMode = "letterbox",
) -> dict[str, Any]:
    """Predict for every picture below a folder and write `predictions.json`, `predictions.csv` and `pictures/`.

    Args:
        model: a trained model, on the device to use.
        images: folder of pictures of any size and form; files of other kinds are left alone.
        output: folder to write to.
        image_size: height and width of the network's input in pixels, or its side; as in training.
        score_threshold: boxes below it are left out, 0 to 1.
        batch_size: pictures at a time.
        fit: how a picture is brought to that size, as in training.

    Returns:
        Numbers of `pictures`, `boxes` and `skipped` files, and `skipped_files` by name with the reason.

    Raises:
        ValueError: for a folder without pictures, or where none can be decoded, and for settings out of range.
    """
    plain = model if isinstance(model, MultiTaskModel) else model.model
    size = _size(image_size)
    if not 0 <= score_threshold <= 1 or batch_size < 1:
        raise ValueError(
            f"score_threshold={score_threshold} must lie within 0..1 and batch_size={batch_size} be at least 1."
        )
    tasks = {name: plain.head(name).task for name in plain.heads}
    files = _files(Path(images), Path(output))
    skipped = _Skipped()
    found = []
    training = plain.training
    plain.eval()
    try:
        for one in _predict(plain, tasks, Path(images), files, size, score_threshold, batch_size, fit, skipped):
            _write_picture(one, tasks, Path(output))
            found.append(one)
    finally:
        plain.train(training)
    _report(skipped)
    if not found:
        raise ValueError(f"none of the {len(files)} pictures in {str(images)!r} could be decoded; see the names above.")
    document = _coco(found, tasks)
    document["skipped"] = [
        {"file_name": name, "reason": reason} for name, reason in zip(skipped.names, skipped.reasons, strict=True)
    ]
    (Path(output) / "predictions.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    _write_csv(found, tasks, Path(output) / "predictions.csv")
    return {
        "pictures": len(found),
        "boxes": len(document["annotations"]),
        "skipped": len(skipped.names),
        "skipped_files": dict(zip(skipped.names, skipped.reasons, strict=True)),
    }


def _size(image_size: Sequence[int] | int | None) -> tuple[int, int]:
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    if image_size is None or len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(
            f"image_size={image_size!r} must be the height and width of the network's input, or its side. "
            "Give the size that the model was trained with."
        )
    return int(image_size[0]), int(image_size[1])


def _files(images: Path, output: Path) -> list[Path]:
    if not images.is_dir():
        raise ValueError(f"there is no folder {str(images)!r}; give a folder of pictures.")
    inside = output.resolve()
    files = sorted(
        path
        for path in images.rglob("*")
        # results of an earlier call are no input
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.resolve().is_relative_to(inside)
    )
    if not files:
        raise ValueError(f"folder {str(images)!r} has no picture ({', '.join(SUFFIXES)}); give another one.")
    return files


def _predict(
    model: MultiTaskModel,
    tasks: dict[str, Task],
    root: Path,
    files: list[Path],
    size: tuple[int, int],
    score_threshold: float,
    batch_size: int,
    fit: FitMode,
    skipped: _Skipped,
) -> Iterator[_Found]:
    device = model.image_mean.device
    for start in range(0, len(files), batch_size):
        read: list[tuple[Path, Tensor, Tensor, Tensor]] = []
        for path in files[start : start + batch_size]:
            try:
                read.append((path, *read_fitted(path, size, fit)))
            except ValueError as error:
                skipped.names.append(path.relative_to(root).as_posix())
                skipped.reasons.append(str(error.__cause__ or error))
        if not read:
            continue
        predictions = model.predict(torch.stack([image for _, image, _, _ in read]).to(device))
        to_original = torch.stack([mapping for _, _, _, mapping in read]).to(device)
        for found in predictions.values():
            if "boxes" in found:
                found["boxes"] = boxes_to_original(found["boxes"].float(), to_original)
        for index, (path, _, original, _) in enumerate(read):
            height, width = original.tolist()
            boxes: dict[str, Boxes] = {}
            answers: dict[str, Answer] = {}
            for name, found in predictions.items():
                if "boxes" in found:
                    boxes[name] = _inside(predicted_boxes(found, index, score_threshold), height, width)
                elif answer := image_answer(found, index, tasks[name]):
                    answers[name] = answer
            yield _Found(path, path.relative_to(root).as_posix(), height, width, boxes, answers)


def _inside(found: Boxes, height: int, width: int) -> Boxes:
    """Boxes cut at the picture's edge; what lies in the bars of a letterbox is gone."""
    boxes = found.boxes.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    real = (boxes[:, 2:] > boxes[:, :2]).all(-1)
    assert found.scores is not None
    return Boxes(boxes[real], found.labels[real], found.scores[real])


def _coco(found: list[_Found], tasks: dict[str, Task]) -> dict[str, Any]:
    detection = [task for task in tasks.values() if task.kind == "detection"]
    # ids count from 1 as in COCO, through all detection tasks
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
        for name, boxes in one.boxes.items():
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


def _write_csv(found: list[_Found], tasks: dict[str, Task], path: Path) -> None:
    """One row per picture: image-level answers with their scores, and the number of boxes of each class."""
    rows = []
    for one in found:
        row: dict[str, Any] = {"file_name": one.name}
        for name, answer in one.answers.items():
            row[name] = answer.predicted
            if answer.score is not None:
                row[f"{name}_score"] = round(answer.score, 5)
        for name, boxes in one.boxes.items():
            counts = torch.bincount(boxes.labels, minlength=tasks[name].num_classes).tolist()
            row |= {f"{name}/{tasks[name].class_name(label)}": count for label, count in enumerate(counts)}
        rows.append(row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(column for row in rows for column in row)))
        writer.writeheader()
        writer.writerows(rows)


def _write_picture(one: _Found, tasks: dict[str, Task], output: Path) -> None:
    # the whole name, so that a.jpg and a.png do not meet
    path = output / "pictures" / f"{one.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    annotate(Picture(read_image(one.path), one.boxes, {}, one.answers), tasks).save(path)


def _report(skipped: _Skipped) -> None:
    if not skipped.names:
        return
    lines = [f"{name}: {reason}" for name, reason in zip(skipped.names, skipped.reasons, strict=True)]
    more = len(lines) - _MOST_NAMES
    lines = lines[:_MOST_NAMES] + ([f"and {more} more, all in predictions.json"] if more > 0 else [])
    text = f"skipped {len(skipped.names)} undecodable files:\n  " + "\n  ".join(lines)
    get_console().print(text, highlight=False, markup=False, soft_wrap=True)
