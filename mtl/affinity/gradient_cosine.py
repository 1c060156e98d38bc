"""Gradient cosine: whether two tasks pull the shared parameters the same way.

Source: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, definition 1.
Shapes: N batches, K tasks.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from mtl.affinity.gradients import joint_model, losses_and_rows
from mtl.affinity.measure import AffinityMeasure, Evidence
from mtl.functional.gradient_rows import gramian_of_matrix
from mtl.functional.gradient_similarity import gradient_similarity


class GradientCosine(AffinityMeasure):
    """Cosine of the gradients of two tasks at the shared parameters, from -1 (conflict) to 1."""

    paper = "Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020"
    needs = "model"

    def measure(self, evidence: Evidence) -> Tensor:
        return torch.stack([cosines_KK for _, cosines_KK, _ in _similarities(evidence, type(self).__name__)])


class GradientMagnitude(AffinityMeasure):
    """Magnitude similarity 2 a b / (a^2 + b^2) of the gradients' lengths a and b: 1 for equal, 0 if one rules."""

    paper = "Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020"
    needs = "model"

    def measure(self, evidence: Evidence) -> Tensor:
        return torch.stack([magnitudes_KK for *_, magnitudes_KK in _similarities(evidence, type(self).__name__)])


def _similarities(evidence: Evidence, measure: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    model = joint_model(evidence, measure)
    for batch in evidence.batches:
        _, rows_KP = losses_and_rows(model, batch, list(evidence.tasks))
        yield gradient_similarity(gramian_of_matrix(rows_KP))
