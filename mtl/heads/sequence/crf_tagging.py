"""Tagging head with a conditional random field: the tags of a sequence are predicted together, not one by one.

Source: Lample et al., "Neural Architectures for Named Entity Recognition", NAACL 2016. Unlike there, a step without a
tag may have any, and there is no score for the last tag.
Shapes: B samples, T steps, C classes.
"""

import torch
from torch import Tensor, nn

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import FeatureSpec
from mtl.functional.sequence.crf import crf_losses, crf_marginals
from mtl.functional.sequence.viterbi import viterbi
from mtl.heads.head import Outputs
from mtl.heads.sequence.tagging import TaggingHead
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class CRFTaggingHead(TaggingHead):
    """One class for every step, with a learned score for every class behind every other.

    The score of a step is the probability of its tag over all sequences of tags.

    Args:
        task: a task of kind `tags`.
        features: widths and layouts of the features.
        level: a sequence; the first one by default.
        dropout: share of the features dropped in training, 0 to 1.
        legal: of tags with IOB names, predict no `I-` tag that lacks its beginning.
    """

    class_by_class = ("steps",)

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        level: str | None = None,
        dropout: float = 0.0,
        legal: bool = True,
    ) -> None:
        super().__init__(task, features, level, dropout, legal=legal)
        self.decodes_in_steps = True
        self.steps = nn.Parameter(torch.zeros(task.num_classes, task.num_classes))
        self.first = nn.Parameter(torch.zeros(task.num_classes))

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        known_BT = (batch[self.task.name] >= 0) & labelled(batch, self.task)[:, None]
        tags_BT = torch.where(known_BT, batch[self.task.name], -1)
        losses_B = crf_losses(outputs["logits"], self.steps.float(), self.first.float(), tags_BT, self._mask(outputs))
        # by the steps of all ranks, as the loss of each step alone
        return losses_B.sum() / global_count(known_BT.sum())

    def decode(self, outputs: Outputs) -> Predictions:
        logits_BTC, mask_BT = outputs["logits"], self._mask(outputs)
        steps_CC, first_C = self.steps.float(), self.first.float()
        allowed_CC = self.allowed_CC if self.legal else torch.ones_like(steps_CC, dtype=torch.bool)
        start_C = self.first_C if self.legal else allowed_CC[0]
        labels_BT = viterbi(logits_BTC, allowed_CC, start_C, mask_BT, steps_CC, first_C)
        marginals_BTC = crf_marginals(logits_BTC, steps_CC, first_C, mask_BT)
        scores_BT = marginals_BTC.gather(2, labels_BT[..., None])[..., 0]
        return {"labels": torch.where(mask_BT, labels_BT, -1), "scores": scores_BT}

    @staticmethod
    def _mask(outputs: Outputs) -> Tensor:
        logits_BTC = outputs["logits"]
        return outputs.get("mask", torch.ones_like(logits_BTC[..., 0], dtype=torch.bool))
