"""Representation similarity: whether networks trained on single tasks see the same samples alike.

Source: Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", ICML 2019, eq. 4
(linear CKA); Dwivedi, Roig, "Representation Similarity Analysis for Efficient Task Taxonomy", CVPR 2019 (RSA).
Shapes: N batches, K tasks, B samples, D features.
"""

import torch
from scipy.stats import spearmanr
from torch import Tensor

from mtl.affinity.measure import AffinityMeasure, Evidence
from mtl.batch import Batch
from mtl.heads.whole.pooling import Pool
from mtl.model import MultiTaskModel


class CKA(AffinityMeasure):
    """Linear centred kernel alignment of the pooled features of single-task networks, 0 to 1.

    A few samples in many dimensions look alike: compare values of one batch size only.
    """

    paper = "Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019"
    needs = "singles"

    def measure(self, evidence: Evidence) -> Tensor:
        return torch.stack([self._matrix(_features(evidence, batch)) for batch in evidence.batches])

    def _matrix(self, features: list[Tensor]) -> Tensor:
        grams = [centred_BD @ centred_BD.T for centred_BD in (f_BD - f_BD.mean(0) for f_BD in features)]
        return torch.stack([torch.stack([(a * b).sum() / (a.norm() * b.norm()) for b in grams]) for a in grams])


class RSA(AffinityMeasure):
    """Spearman correlation of the dissimilarities (1 - Pearson) of all pairs of samples, -1 to 1."""

    paper = "Dwivedi, Roig, Representation Similarity Analysis for Efficient Task Taxonomy, CVPR 2019"
    needs = "singles"

    def measure(self, evidence: Evidence) -> Tensor:
        found = []
        for batch in evidence.batches:
            features = _features(evidence, batch)
            upper = torch.ones(len(features[0]), len(features[0]), dtype=torch.bool).triu(1)
            pairs = [(1 - torch.corrcoef(f_BD))[upper].numpy() for f_BD in features]
            found.append(torch.tensor([[float(spearmanr(a, b).statistic) for b in pairs] for a in pairs]))
        return torch.stack(found)


def _features(evidence: Evidence, batch: Batch) -> list[Tensor]:
    singles = evidence.singles or {}
    if missing := [name for name in evidence.tasks if name not in singles]:
        raise ValueError(
            f"representations are compared between single-task networks; --single lacks {', '.join(missing)}."
        )
    return [_pooled(singles[name], batch) for name in evidence.tasks]


@torch.no_grad()
def _pooled(model: MultiTaskModel, batch: Batch) -> Tensor:
    """Mean and largest value of every channel of every level, [B,D]."""
    training = model.training
    model.eval()
    (name,) = model.heads
    pool = Pool(model.trunk.spec, list(model.trunk.spec.channels), ("mean", "max"))
    pooled: Tensor = pool(model.trunk.view(model.cut(batch), name))
    model.train(training)
    return pooled.double()
