"""Word and character error rates of transcripts: edits over the length of what was said.

Source: Levenshtein distance over words and over characters, as torchmetrics counts it.
Shapes: B samples, L symbols.
"""

import torch
from torch import Tensor
from torchmetrics.text import CharErrorRate, WordErrorRate

from mtl.batch import Batch, labelled
from mtl.functional.sequence.ctc import needed_steps
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.metrics.totals import Totals
from mtl.targets.target import target_of
from mtl.targets.transcript import Transcript
from mtl.task import Task


class TranscriptMetrics(TaskMetrics):
    """`wer` and `cer` over all transcripts, `accuracy`, the share of equal ones, and `infeasible`.

    `infeasible` is the share of transcripts that have more symbols than steps: no training can learn them. Edits where
    nothing was said at all, in no sample, count as a rate of 1.

    Args:
        task: a task of kind `transcript`.
    """

    lower_is_better = frozenset({"wer", "cer", "infeasible"})

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.wer, self.cer = WordErrorRate(), CharErrorRate()
        self.totals = Totals({"right": 1, "infeasible": 1, "count": 1})

    def update(self, predictions: Predictions, batch: Batch) -> None:
        target = target_of(self.task)
        assert isinstance(target, Transcript)
        known_B = labelled(batch, self.task)
        text_BL = batch[self.task.name]
        infeasible_B = torch.zeros_like(known_B)
        if "steps" in predictions:
            infeasible_B = needed_steps(text_BL) > predictions["steps"]
        self.totals.update(
            right=(target.correct(predictions, batch) & known_B).sum(),
            infeasible=(infeasible_B & known_B).sum(),
            count=known_B.sum(),
        )
        ours = [target.text(row) for row in predictions["tokens"][known_B].cpu()]
        theirs = [target.text(row) for row in text_BL[known_B].cpu()]
        if ours:
            self.wer.update(ours, theirs)
            self.cer.update(ours, theirs)

    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        totals = self.totals.compute()
        if not totals["count"].sum():
            return {}
        rates = {name: torch.nan_to_num(getattr(self, name).compute(), nan=0.0, posinf=1.0) for name in ("wer", "cer")}
        shares = {
            name: (totals[part] / totals["count"]).float().squeeze()
            for name, part in (("accuracy", "right"), ("infeasible", "infeasible"))
        }
        return rates | shares

    def reset(self) -> None:
        for metric in (self.wer, self.cer, self.totals):
            metric.reset()
