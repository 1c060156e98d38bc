"""Tagging head: a class for every step, cross-entropy over the steps that carry one, best legal sequence of tags.

Shapes: B samples, T steps, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec, mask_of
from mtl.functional.distillation import masked_steps, soft_classes
from mtl.functional.sequence.viterbi import iob_steps, viterbi
from mtl.heads.head import Head, Outputs
from mtl.metrics.spans import TagMetrics, has_spans
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class TaggingHead(Head):
    """One class for every step of a sequence.

    Args:
        task: a task of kind `tags`.
        features: widths and layouts of the features.
        level: a sequence; the first one by default.
        dropout: share of the features dropped in training, 0 to 1.
        label_smoothing: share of the target spread over all classes, 0 to 1.
        legal: of tags with IOB names, predict the best sequence in which no `I-` tag lacks its beginning (Viterbi);
            otherwise the best tag of each step.
    """

    allowed_CC: Tensor
    first_C: Tensor
    kinds = ("tags",)
    monitor = ("span_f1", "max")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        legal: bool = True,
    ) -> None:
        super().__init__(task, features)
        (self.level,) = features.require([level or features.first("sequence")], f"head {task.name!r}", ["sequence"])
        if not has_spans(task):
            self.monitor = ("accuracy", "max")
        self.label_smoothing = label_smoothing
        self.dropout = nn.Dropout(dropout)
        self.legal = legal and has_spans(task)
        self.decodes_in_steps = self.legal
        allowed_CC, first_C = iob_steps(task.class_names if self.legal else ())
        self.register_buffer("allowed_CC", allowed_CC, persistent=False)
        self.register_buffer("first_C", first_C, persistent=False)
        self.layer = nn.Linear(features.channels[self.level], task.num_classes)

    def forward(self, features: Features) -> Outputs:
        out = {"logits": self.layer(self.dropout(features[self.level])).float()}
        mask_BT = mask_of(features, self.level)
        return out if mask_BT is None else {**out, "mask": mask_BT}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        known_BT = (batch[self.task.name] >= 0) & labelled(batch, self.task)[:, None]
        target_BT = batch[self.task.name].clamp(min=0)
        losses_BT = F.cross_entropy(
            outputs["logits"].transpose(1, 2), target_BT, reduction="none", label_smoothing=self.label_smoothing
        )
        # by the steps of all ranks, whose sentences differ in length
        return (losses_BT * known_BT).sum() / global_count(known_BT.sum())

    def decode(self, outputs: Outputs) -> Predictions:
        logits_BTC = outputs["logits"]
        scores_BT, labels_BT = logits_BTC.softmax(-1).max(-1)
        if self.legal:
            log_BTC = logits_BTC.log_softmax(-1)
            labels_BT = viterbi(log_BTC, self.allowed_CC, self.first_C, outputs.get("mask"))
            scores_BT = log_BTC.gather(2, labels_BT[..., None])[..., 0].exp()
        if "mask" in outputs:
            labels_BT = torch.where(outputs["mask"], labels_BT, -1)
        return {"labels": labels_BT, "scores": scores_BT}

    def distill(self, outputs: Outputs, teacher: Outputs, temperature: float) -> Tensor:
        return masked_steps(soft_classes(outputs["logits"], teacher["logits"], temperature), outputs.get("mask"))

    def metrics(self) -> TagMetrics:
        return TagMetrics(self.task)
