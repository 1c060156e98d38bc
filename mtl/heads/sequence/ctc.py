"""CTC head: a transcript from a sequence with more steps than symbols, without knowing when each symbol is said.

Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
Shapes: B samples, T steps, V symbols with the blank 0, L symbols of a transcript.
"""

import torch
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import Features, FeatureSpec, mask_of
from mtl.functional.sequence.ctc import ctc_beams, ctc_greedy, ctc_losses
from mtl.heads.head import Head, Outputs
from mtl.metrics.task_metrics import Predictions
from mtl.metrics.transcript import TranscriptMetrics
from mtl.task import Task


class CTCHead(Head):
    """A symbol or a blank for every step; the loss sums over all alignments of the transcript.

    A transcript with more symbols than steps adds nothing to the loss; the metric `infeasible` is the share of these.

    Args:
        task: a task of kind `transcript`.
        features: widths and layouts of the features.
        level: a sequence; the first one by default.
        dropout: share of the features dropped in training, 0 to 1.
        beams: prefixes that are followed at once in decoding, on the host; 1 takes the best symbol of each step.
    """

    kinds = ("transcript",)
    monitor = ("wer", "min")

    def __init__(
        self, task: Task, features: FeatureSpec, level: str | None = None, dropout: float = 0.0, beams: int = 1
    ) -> None:
        super().__init__(task, features)
        if beams < 1:
            raise ValueError(f"head {task.name!r}: beams={beams} must be at least 1.")
        if task.num_classes < 2:
            raise ValueError(f"task {task.name!r} needs the blank and at least one symbol; it has {task.num_classes}.")
        (self.level,) = features.require([level or features.first("sequence")], f"head {task.name!r}", ["sequence"])
        self.beams = beams
        self.exportable = beams == 1
        self.dropout = nn.Dropout(dropout)
        self.layer = nn.Linear(features.channels[self.level], task.num_classes)

    def forward(self, features: Features) -> Outputs:
        logits_BTV = self.layer(self.dropout(features[self.level])).float()
        mask_BT = mask_of(features, self.level)
        return {"logits": logits_BTV} if mask_BT is None else {"logits": logits_BTV, "mask": mask_BT}

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        known_B = labelled(batch, self.task)
        text_BL = torch.where(known_B[:, None], batch[self.task.name], -1)
        loss_B, fits_B = ctc_losses(outputs["logits"].log_softmax(-1), _mask(outputs), text_BL)
        counted_B = known_B & fits_B
        # by the symbols of all ranks, whose transcripts differ in length; an empty one counts as one
        symbols_B = (text_BL >= 0).sum(1).clamp(min=1)
        return (loss_B * counted_B).sum() / global_count((symbols_B * counted_B).sum())

    def decode(self, outputs: Outputs) -> Predictions:
        log_BTV, mask_BT = outputs["logits"].log_softmax(-1), _mask(outputs)
        decoded = ctc_greedy(log_BTV, mask_BT) if self.beams == 1 else ctc_beams(log_BTV, mask_BT, self.beams)
        tokens_BT, log_B = decoded
        steps_B = mask_BT.sum(1)
        return {"tokens": tokens_BT, "scores": (log_B / steps_B.clamp(min=1)).exp(), "steps": steps_B}

    def metrics(self) -> TranscriptMetrics:
        return TranscriptMetrics(self.task)


def _mask(outputs: Outputs) -> Tensor:
    logits_BTV = outputs["logits"]
    return outputs.get("mask", torch.ones_like(logits_BTV[..., 0], dtype=torch.bool))
