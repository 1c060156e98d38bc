"""Gradients of all tasks at the shared parameters, for the measures that look at them.

Shapes: K tasks, P shared parameters.
"""

import torch
from torch import Tensor

from mtl.affinity.measure import Evidence
from mtl.balancing.engine.partition import trainable
from mtl.batch import Batch
from mtl.model import MultiTaskModel


def shared_parameters(model: MultiTaskModel) -> list[torch.nn.Parameter]:
    """Parameters that learn and that the tasks share.

    Args:
        model: the joint model.
    """
    return trainable(model.partition().shared)


def losses_and_rows(model: MultiTaskModel, batch: Batch, names: list[str]) -> tuple[Tensor, Tensor]:
    """Losses [K] and gradients at the shared parameters [K,P] of one batch; both 0 for a task without labels.

    Args:
        model: the joint model.
        batch: a batch.
        names: the tasks.
    """
    shared = shared_parameters(model)
    losses = model.losses(model(batch), batch)
    rows = []
    for name in names:
        found = torch.autograd.grad(losses[name], shared, retain_graph=True, allow_unused=True)
        parts = [
            torch.zeros_like(p).flatten() if g is None else g.flatten() for g, p in zip(found, shared, strict=True)
        ]
        rows.append(torch.cat(parts))
    return torch.stack([losses[name].detach() for name in names]), torch.stack(rows)


def joint_model(evidence: Evidence, measure: str) -> MultiTaskModel:
    """The joint model of the evidence.

    Args:
        evidence: what there is to look at.
        measure: who asks.

    Raises:
        ValueError: if there is none.
    """
    if evidence.model is None:
        raise ValueError(f"{measure} looks at a joint model; name its run with --run.")
    return evidence.model
