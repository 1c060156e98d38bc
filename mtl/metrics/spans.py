"""Span F1 and accuracy of tags.

Spans follow the tags' names as the CoNLL evaluation reads them: `B-x` opens a span, `I-x` continues one of the same
type or else opens one, `E-x` and `L-x` do so and end it, `S-x` and `U-x` are one alone, `O` is outside. A predicted
span is right if start, end and type are.
Shapes: B samples, T steps.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import SumMetric

from mtl.batch import Batch, labelled
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task

_CONTINUE, _END = ("I", "E", "L"), ("E", "L", "S", "U")  # marks that continue a span, and marks of its last step


class TagMetrics(TaskMetrics):
    """`accuracy`; and `span_f1`, `span_precision`, `span_recall` where the tags have IOB names.

    Args:
        task: a task of kind `tags`.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.has_spans = has_spans(task)
        self.right, self.known = SumMetric(), SumMetric()
        self.found, self.predicted, self.true = SumMetric(), SumMetric(), SumMetric()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target_BT = batch[self.task.name]
        known_BT = (target_BT >= 0) & labelled(batch, self.task)[:, None]
        labels_BT = predictions["labels"]
        self.right.update(((labels_BT == target_BT) & known_BT).sum())
        self.known.update(known_BT.sum())
        found = predicted = true = 0
        if self.has_spans:
            for labels_T, target_T, known_T in zip(labels_BT.cpu(), target_BT.cpu(), known_BT.cpu(), strict=True):
                names = [self._names(row_T[known_T]) for row_T in (labels_T, target_T)]
                ours, theirs = (spans(row) for row in names)
                found, predicted, true = found + len(ours & theirs), predicted + len(ours), true + len(theirs)
        self.found.update(found)
        self.predicted.update(predicted)
        self.true.update(true)

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        known = self.known.compute()
        if not known:
            return {}
        values = {"accuracy": self.right.compute() / known}
        if self.has_spans:
            found, predicted, true = self.found.compute(), self.predicted.compute(), self.true.compute()
            values["span_precision"] = found / predicted.clamp(min=1)
            values["span_recall"] = found / true.clamp(min=1)
            values["span_f1"] = 2 * found / (predicted + true).clamp(min=1)
        return values

    def reset(self) -> None:
        for metric in (self.right, self.known, self.found, self.predicted, self.true):
            metric.reset()

    def _names(self, labels_T: Tensor) -> list[str]:
        return [self.task.class_name(label) if label >= 0 else "O" for label in labels_T.to(torch.int64).tolist()]


def has_spans(task: Task) -> bool:
    """Whether the names of the tags say where spans begin.

    Args:
        task: a task of kind `tags`.
    """
    return any(name.startswith("B-") for name in task.class_names)


def spans(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """The spans of one sequence of tags: first step, last step, type.

    Args:
        tags: IOB names; also of schemes with a mark for the last step (`E-`, `L-`) and for spans of one (`S-`, `U-`).
    """
    found = set()
    start, kind, ended = 0, "", False
    for step, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        if kind and (ended or mark not in _CONTINUE or name != kind):
            found.add((start, step - 1, kind))
            kind = ""
        if mark != "O" and not kind:
            start, kind = step, name
        ended = mark in _END
    return found
