"""Label information: what the targets of two tasks tell about each other, before anything is trained.

Source: adjusted mutual information, Vinh, Epps, Bailey, "Information Theoretic Measures for Clusterings Comparison",
JMLR 11, 2010.
Shapes: N parts of the data, K tasks, S samples.
"""

from collections.abc import Sequence

import torch
from sklearn.metrics import adjusted_mutual_info_score
from torch import Tensor

from mtl.affinity.measure import AffinityMeasure, Evidence
from mtl.batch import Batch, labelled
from mtl.targets.target import target_of
from mtl.task import Task

PARTS = 5  # the data is cut into so many for a spread
BINS = 8  # of a regression target, with equally many samples


class LabelInformation(AffinityMeasure):
    """Adjusted mutual information of the targets: 0 for independent ones, 1 where one gives the other.

    A detection task is looked at as three image-level targets: how many boxes, the class of the largest, and which
    classes there are; the largest of the values counts. A regression target is binned.
    """

    paper = "Vinh et al., Information Theoretic Measures for Clusterings Comparison, JMLR 2010"
    needs = "labels"

    def measure(self, evidence: Evidence) -> Tensor:
        views = {name: _views(evidence.batches, task) for name, task in evidence.tasks.items()}
        parts = min(PARTS, max(1, len(evidence.batches)))
        found = []
        for part in range(parts):
            rows = [[self._pair(views[a], views[b], part, parts) for b in views] for a in views]
            found.append(torch.tensor(rows))
        return torch.stack(found)

    def _pair(self, first: list[Tensor], second: list[Tensor], part: int, parts: int) -> float:
        values = []
        for one_S in first:
            for other_S in second:
                here = (one_S[part::parts] >= 0) & (other_S[part::parts] >= 0)
                if int(here.sum()) > 1:
                    pair = (one_S[part::parts][here].numpy(), other_S[part::parts][here].numpy())
                    values.append(float(adjusted_mutual_info_score(*pair)))
        return max(values, default=torch.nan)


def _views(batches: Sequence[Batch], task: Task) -> list[Tensor]:
    """Targets of a task as classes of samples, each [S]; -1 where it is not labelled."""
    target = target_of(task)
    per_batch = [target.views(batch, labelled(batch, task)) for batch in batches]
    joined = [torch.cat(view) for view in zip(*per_batch, strict=True)]
    return [_binned(view_S) if view_S.is_floating_point() else view_S.long() for view_S in joined]


def _binned(values_S: Tensor) -> Tensor:
    known_S = values_S.isfinite()
    out_S = torch.full(values_S.shape, -1)
    if known_S.any():
        distinct = values_S[known_S].unique()
        edges = (
            (distinct[1:] + distinct[:-1]) / 2
            if len(distinct) <= BINS
            else values_S[known_S].quantile(torch.linspace(0, 1, BINS + 1)[1:-1])
        )
        out_S[known_S] = torch.bucketize(values_S[known_S], edges)
    return out_S
