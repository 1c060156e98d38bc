"""Labels that a trained run disagrees with, the surest first: what to look at when a label may be wrong.

Source of the rule for classes: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels", JAIR 2021: a class is meant seriously where its probability is at least the mean over samples labelled so.
The same for boxes: a score is meant seriously from the mean over boxes that lie on a label of their class.
Labels of the training samples may have been learned by heart; labels of val and test have not.
Shapes: N samples, C classes, P predicted boxes, M true boxes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from mtl.batch import collate
from mtl.data.label_check import has_label
from mtl.data.module import JointDataModule
from mtl.evaluation.data.data_findings import Finding, Place, names_of
from mtl.model import MultiTaskModel
from mtl.targets.detection import best_boxes
from mtl.targets.target import target_of
from mtl.task import Task

_LIKELY = 0.5  # least probability of a class; a run that knows little doubts everything
_SEEN = 0.05  # least score of a box that is looked at
_RIGHT, _SAME, _APART = 0.5, 0.7, 0.1  # IoU with a box: found; certainly one object; at most another one
_BATCH = 32
_MOST = 200  # doubted labels of a task, and boxes of a class
Doubt = tuple[float, Finding]  # how sure the run is


class _Box(NamedTuple):
    """A predicted box beside the labels."""

    place: Place
    title: str
    label: int
    score: float
    box: Tensor
    right: bool  # it lies on a label of its class
    doubt: tuple[str, str] | None  # kind of the finding that it may be, and what the labels say in its place


def suspects(data: JointDataModule, model: MultiTaskModel, max_samples: int | None = None) -> list[Finding]:
    """Findings of kind `suspect_label`, `suspect_class` of a box, and `suspect_missing`: a box where none is labelled.

    Args:
        data: the data module, after `setup`.
        model: the model of a run, trained on these tasks.
        max_samples: most samples of a split, spread over it; all by default.
    """
    model.eval()
    doubts: dict[str, list[Doubt]] = {}
    seen: dict[str, list[tuple[Place, str, int, Tensor]]] = {}  # by task: where, its name, the label, probabilities
    boxes: dict[str, list[_Box]] = {}
    for split in ("train", "val", "test"):
        dataset: Any = getattr(data, f"{split}_set", None)
        if dataset is None or not hasattr(dataset, "__len__"):
            continue
        names = names_of(dataset)
        every = 1 if max_samples is None else max(1, -(-len(dataset) // max_samples))
        indices = range(0, len(dataset), every)
        for start in range(0, len(indices), _BATCH):
            chosen = list(indices[start : start + _BATCH])
            samples = [dict(dataset[index]) for index in chosen]
            batch = collate(samples, tasks=data.tasks, inputs=data.inputs)
            predictions = model.predict(batch)
            for row, (index, sample) in enumerate(zip(chosen, samples, strict=True)):
                place, title = (split, index), f"{split} {names[index] if names else f'sample {index}'}"
                for name, found in predictions.items():
                    task, target = data.tasks[name], target_of(data.tasks[name])
                    if not has_label(sample, target):
                        continue
                    if target.judged_as == "boxes":
                        boxes.setdefault(name, []).extend(_beside_labels(task, found, row, batch, place, title))
                    elif "probabilities" in found and batch[name].ndim == 1 and found["probabilities"].ndim == 2:
                        label = int(batch[name][row])
                        seen.setdefault(name, []).append((place, title, label, found["probabilities"][row].float()))
    for name, rows in seen.items():
        surest = sorted(_labels(data.tasks[name], rows), key=lambda doubt: -doubt[0])
        doubts.setdefault("suspect_label", []).extend(surest[:_MOST])
    for name, predicted in boxes.items():
        for kind, doubt in _boxes(data.tasks[name], predicted):
            doubts.setdefault(kind, []).append(doubt)
    return [finding for found in doubts.values() for _, finding in sorted(found, key=lambda doubt: -doubt[0])]


def doubted(probabilities_NC: Tensor, labels_N: Tensor) -> Tensor:
    """The class that each sample seems to be instead of its label, [N]; -1 where there is no doubt.

    Args:
        probabilities_NC: of a model.
        labels_N: the labels.
    """
    own_N = probabilities_NC.gather(1, labels_N[:, None])[:, 0]
    classes = range(probabilities_NC.shape[1])
    # a class without samples is never meant seriously
    means = [own_N[labels_N == c].mean() if bool((labels_N == c).any()) else own_N.new_tensor(2.0) for c in classes]
    serious_NC = torch.where(probabilities_NC >= torch.stack(means), probabilities_NC, -1.0)
    best_N, class_N = serious_NC.max(1)
    return torch.where((best_N > own_N) & (class_N != labels_N), class_N, -1)


def _labels(task: Task, rows: Sequence[tuple[Place, str, int, Tensor]]) -> Iterator[Doubt]:
    probabilities_NC, labels_N = torch.stack([row[3] for row in rows]), torch.tensor([row[2] for row in rows])
    for (place, title, label, probabilities), other in zip(rows, doubted(probabilities_NC, labels_N), strict=True):
        sure = float(probabilities[other])
        if int(other) >= 0 and sure >= _LIKELY:
            text = (
                f"{title}: {task.name} is labelled {task.class_name(label)}; the run says {task.class_name(int(other))}"
            )
            finding = Finding("note", "suspect_label", f"{text} ({sure:.2f})", (place,))
            yield sure - float(probabilities[label]), finding


def _beside_labels(
    task: Task, found: Mapping[str, Tensor], row: int, batch: Mapping[str, Tensor], place: Place, title: str
) -> Iterator[_Box]:
    predicted = best_boxes(found, row, _SEEN)
    assert predicted.scores is not None
    boxes_M4, labels_M = batch[task.name][row].float(), batch[task.labels_field][row]
    there_M = (boxes_M4[:, 2:] > boxes_M4[:, :2]).all(1)  # ignored boxes among them, and no padding
    boxes_M4, labels_M = boxes_M4[there_M], labels_M[there_M]
    overlaps_PM = box_iou(predicted.boxes, boxes_M4)
    for box, label, score, overlap_M in zip(
        predicted.boxes, predicted.labels, predicted.scores, overlaps_PM, strict=True
    ):
        most, which = overlap_M.max(0) if len(overlap_M) else (torch.tensor(0.0), torch.tensor(-1))
        right, doubt = bool((overlap_M[labels_M == label] >= _RIGHT).any()), None
        if float(most) <= _APART:
            doubt = "suspect_missing", f"no box of {task.name}"
        elif float(most) >= _SAME and not right and int(labels_M[which]) >= 0:
            doubt = "suspect_class", f"{task.name} has {task.class_name(int(labels_M[which]))}"
        yield _Box(place, title, int(label), float(score), box, right, doubt)


def _boxes(task: Task, predicted: Sequence[_Box]) -> Iterator[tuple[str, Doubt]]:
    for label in sorted({one.label for one in predicted}):
        of_class = [one for one in predicted if one.label == label]
        right = [one.score for one in of_class if one.right]
        usual = sum(right) / len(right) if right else 2.0  # a class that is never right is never meant seriously
        serious = [one for one in of_class if one.score >= usual]
        found = [(one, *one.doubt) for one in serious if one.doubt is not None]
        if sum(one.right for one in serious) <= len(found):
            continue  # a run that does not know the class doubts everything
        for one, kind, there in sorted(found, key=lambda doubt: -doubt[0].score)[:_MOST]:
            where = " ".join(f"{value:.0f}" for value in one.box.tolist()) + " px of its input"
            said = f"the run says {task.class_name(label)} ({one.score:.2f}, labelled ones {usual:.2f})"
            text = f"{one.title}: {there}, and {said} at {where}"
            drawn = {"task": task.name, "label": label, "score": round(one.score, 4), "box": one.box.tolist()}
            yield kind, (one.score / usual, Finding("note", kind, text, (one.place,), drawn))
