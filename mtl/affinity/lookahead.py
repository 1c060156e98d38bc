"""Lookahead affinity: what a step for task i alone does to the loss of task j.

Source: Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task Learning" (TAG), NeurIPS 2021,
arXiv:2109.04617, eq. 1.
Shapes: N batches, K tasks, P shared parameters.
"""

import torch
from torch import Tensor

from mtl.affinity.gradients import joint_model, losses_and_rows, shared_parameters
from mtl.affinity.measure import AffinityMeasure, Evidence


class Lookahead(AffinityMeasure):
    """Z_ij = 1 - L_j(after a step of the shared parameters along task i's gradient) / L_j(before).

    Above 0: the step for i helps j. The paper takes the learning rate of training and averages over training; here the
    step has a given length relative to the parameters, so that runs with other optimisers can be compared.

    Args:
        step: length of the step as a share of the length of the shared parameters.
    """

    paper = "Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, NeurIPS 2021"
    needs = "model"
    symmetric = False

    def __init__(self, step: float = 1e-3) -> None:
        if step <= 0:
            raise ValueError(f"step={step} must be above 0.")
        self.step = step

    def measure(self, evidence: Evidence) -> Tensor:
        model = joint_model(evidence, type(self).__name__)
        names, shared = list(evidence.tasks), shared_parameters(model)
        sizes = [parameter.numel() for parameter in shared]
        found = []
        for batch in evidence.batches:
            before_K, rows_KP = losses_and_rows(model, batch, names)
            matrix_KK = torch.full((len(names), len(names)), torch.nan)
            for task, move_P in enumerate(self._moves(shared, rows_KP)):
                with torch.no_grad():
                    kept = [parameter.clone() for parameter in shared]
                    for parameter, part in zip(shared, move_P.split(sizes), strict=True):
                        parameter.sub_(part.view_as(parameter))
                    losses = model.losses(model(batch), batch)
                    for parameter, old in zip(shared, kept, strict=True):
                        parameter.copy_(old)
                after_K = torch.stack([losses[name] for name in names])
                # a task without labels has loss 0, and nothing to say
                matrix_KK[task] = torch.where((before_K != 0) & rows_KP[task].any(), 1 - after_K / before_K, torch.nan)
            found.append(matrix_KK)
        return torch.stack(found)

    def _moves(self, shared: list[torch.nn.Parameter], rows_KP: Tensor) -> Tensor:
        length = torch.stack([parameter.detach().square().sum() for parameter in shared]).sum().sqrt()
        lengths_K1: Tensor = torch.linalg.vector_norm(rows_KP, dim=1, keepdim=True)
        return rows_KP * (self.step * length / lengths_K1.clamp(min=1e-30))


class FirstOrderLookahead(Lookahead):
    """The first-order form of `Lookahead`: the same step, with loss_j changing by its gradient alone.

    One K x P product instead of K further passes: A_ij = g_j . u_i / L_j with u_i the step for task i.
    """

    paper = "ETAP: Task Affinity Prediction, ICLR 2026 (first-order TAG)"

    def measure(self, evidence: Evidence) -> Tensor:
        model = joint_model(evidence, type(self).__name__)
        names, shared = list(evidence.tasks), shared_parameters(model)
        found = []
        for batch in evidence.batches:
            before_K, rows_KP = losses_and_rows(model, batch, names)
            change_KK = self._moves(shared, rows_KP) @ rows_KP.T
            known_KK = (before_K != 0) & rows_KP.any(1)[:, None]
            found.append(torch.where(known_KK, change_KK / before_K, torch.nan))
        return torch.stack(found)
