"""Gradient cosine: whether two tasks pull the shared parameters the same way.

Source: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, definition 1.
Shapes: N batches, K tasks.
"""

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
        model = joint_model(evidence, type(self).__name__)
        rows = [losses_and_rows(model, batch, list(evidence.tasks))[1] for batch in evidence.batches]
        return torch.stack([gradient_similarity(gramian_of_matrix(rows_KP))[1] for rows_KP in rows])


class GradientMagnitude(AffinityMeasure):
    """Magnitude similarity 2 a b / (a^2 + b^2) of the gradients' lengths a and b: 1 for equal, 0 if one rules."""

    paper = "Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020"
    needs = "model"

    def measure(self, evidence: Evidence) -> Tensor:
        model = joint_model(evidence, type(self).__name__)
        rows = [losses_and_rows(model, batch, list(evidence.tasks))[1] for batch in evidence.batches]
        return torch.stack([gradient_similarity(gramian_of_matrix(rows_KP))[2] for rows_KP in rows])
