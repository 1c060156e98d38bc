"""`Picture`: one sample with what was predicted for it and what is true, as plain data to draw from.

Boxes are xyxy pixels of the picture that is drawn on.
"""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.batch import Batch, box_mask, labelled
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task

# Tableau's ten, made for telling classes apart
_COLOURS = [
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#bcbd22",
    "#17becf",
    "#7f7f7f",
]


@dataclass(frozen=True)
class Boxes:
    """The boxes of one task on one picture.

    Args:
        boxes: xyxy px, [N,4].
        labels: class indices, [N].
        scores: confidence of each, [N]; None for true boxes.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor | None = None


@dataclass(frozen=True)
class Answer:
    """What was said about a picture as a whole.

    Args:
        predicted: the predicted class or number, as text.
        true: the true one; None where it is not annotated.
        score: confidence, where there is one.
        correct: None where it cannot be told.
    """

    predicted: str
    true: str | None = None
    score: float | None = None
    correct: bool | None = None


@dataclass(frozen=True)
class Picture:
    """One sample with all that was predicted for it.

    Args:
        image: uint8, [3,H,W].
        predicted: boxes by detection task.
        true: annotated boxes by detection task; a task that is not annotated is missing.
        answers: image-level answers by task.
    """

    image: Tensor
    predicted: dict[str, Boxes]
    true: dict[str, Boxes]
    answers: dict[str, Answer]


def class_colour(index: int) -> str:
    """A colour for a class, the same in every picture, as `#rrggbb`.

    Args:
        index: class index.
    """
    if index < len(_COLOURS):
        return _COLOURS[index]
    # steps of the golden ratio around the colour circle never come close to each other
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.75, 0.85)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def take_picture(
    batch: Batch, predictions: Mapping[str, Predictions], index: int, tasks: Mapping[str, Task], min_score: float = 0.3
) -> Picture:
    """One sample of a batch, copied to the CPU.

    Args:
        batch: a batch as `collate` makes it.
        predictions: what the heads' `decode` returned for it, by task.
        index: which sample.
        tasks: the tasks, by name.
        min_score: detections below it are left out.
    """
    image = batch["image"][index].detach().cpu()
    if image.dtype != torch.uint8:
        image = (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    predicted: dict[str, Boxes] = {}
    true: dict[str, Boxes] = {}
    answers: dict[str, Answer] = {}
    for name, found in predictions.items():
        task = tasks[name]
        if "boxes" in found:
            predicted[name] = predicted_boxes(found, index, min_score)
            if name in batch and bool(labelled(batch, task)[index]):
                real = box_mask(batch, task)[index]
                labels = batch[task.labels_field][index][real]
                true[name] = Boxes(batch[name][index][real].float().cpu(), labels.cpu())
        else:
            known = name in batch and bool(labelled(batch, task)[index])
            if answer := image_answer(found, index, task, batch[name][index] if known else None):
                answers[name] = answer
    return Picture(image, predicted, true, answers)


def predicted_boxes(found: Predictions, index: int, min_score: float) -> Boxes:
    """Detections of one sample above a score, best first.

    Args:
        found: `boxes`, `labels`, `scores` of a batch.
        index: which sample.
        min_score: detections below it are left out.
    """
    scores = found["scores"][index].detach().float().cpu()
    keep = ((scores >= min_score) & (found["labels"][index].cpu() >= 0)).nonzero().flatten()
    keep = keep[scores[keep].argsort(descending=True)]
    return Boxes(found["boxes"][index].detach().float().cpu()[keep], found["labels"][index].cpu()[keep], scores[keep])


def image_answer(found: Predictions, index: int, task: Task, target: Tensor | None = None) -> Answer | None:
    """The image-level answer of one sample in words, or None for a kind of prediction that has none.

    Args:
        found: what a head's `decode` returned for a batch.
        index: which sample.
        task: the task.
        target: the annotation of the sample, if there is one.
    """
    if "labels" in found and found["labels"].ndim == 1:
        label = int(found["labels"][index])
        score = float(found["scores"][index]) if "scores" in found else None
        if target is None or int(target) < 0:
            return Answer(task.class_name(label), score=score)
        return Answer(task.class_name(label), task.class_name(int(target)), score, label == int(target))
    if "labels" in found and found["labels"].ndim == 2:
        chosen = found["labels"][index].bool().cpu()
        truth = None if target is None else target.cpu() > 0.5
        names = _class_list(task, truth) if truth is not None else None
        return Answer(_class_list(task, chosen), names, None, None if truth is None else torch.equal(chosen, truth))
    values = next((value for value in found.values() if value.ndim == 1 and value.is_floating_point()), None)
    if values is None:
        return None
    known = target is not None and bool(torch.isfinite(target))
    return Answer(f"{float(values[index]):.2f}", f"{float(target):g}" if known and target is not None else None)


def answer_text(answer: Answer) -> str:
    """An answer in words: `7`, or `1, is 7` when it is wrong.

    Args:
        answer: the answer.
    """
    if answer.true is None or answer.correct:
        return answer.predicted
    return f"{answer.predicted}, is {answer.true}"


def _class_list(task: Task, chosen: Tensor) -> str:
    return " ".join(task.class_name(int(index)) for index in chosen.nonzero().flatten()) or "none"
