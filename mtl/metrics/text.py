"""BLEU, chrF and exact matches of predicted texts.

Source: Papineni et al., "BLEU", ACL 2002, tokenised as sacrebleu does (Post, WMT 2018); Popovic, "chrF", WMT 2015.
Shapes: B samples, L tokens.
"""

import torch
from torch import Tensor
from torchmetrics import SumMetric
from torchmetrics.text import SacreBLEUScore

from mtl.batch import Batch, labelled
from mtl.functional.sequence.chrf import ORDERS, chrf, chrf_counts
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals
from mtl.targets.target import target_of
from mtl.targets.text import UNKNOWN, Text
from mtl.task import Task


class TextMetrics(TaskMetrics):
    """`chrf` (letters), `bleu` (words), each 0 to 1 over the whole corpus, and `accuracy`, the share of equal texts.

    Args:
        task: a task of kind `text`.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.bleu = SacreBLEUScore()
        self.chrf = Totals({"counts": 3 * ORDERS})
        self.right, self.count = SumMetric(), SumMetric()

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target = target_of(self.task)
        assert isinstance(target, Text)
        known_B = labelled(batch, self.task)
        tokens_BL = batch[self.task.name]
        self.count.update(known_B.sum())
        self.right.update((target.correct(predictions, batch) & known_B).sum())
        ours = [target.text(row) for row in predictions["tokens"][known_B].cpu()]
        # an unknown word can never be predicted
        unknown = self.task.class_name(UNKNOWN)
        theirs = [target.text(row).replace(unknown, "\N{REPLACEMENT CHARACTER}") for row in tokens_BL[known_B].cpu()]
        if ours:
            self.bleu.update(ours, [[text] for text in theirs])
            self.chrf.update(counts=torch.stack([chrf_counts(*pair) for pair in zip(ours, theirs, strict=True)]).sum(0))

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        count = self.count.compute()
        if not count:
            return {}
        # a corpus of empty texts, or without four words in a row, has no score: 0
        letters = chrf(self.chrf.compute()["counts"].view(ORDERS, 3))
        values = {"chrf": letters.float(), "bleu": torch.nan_to_num(torch.as_tensor(self.bleu.compute()))}
        return {**values, "accuracy": self.right.compute() / count}

    def reset(self) -> None:
        for metric in (self.bleu, self.chrf, self.right, self.count):
            metric.reset()
