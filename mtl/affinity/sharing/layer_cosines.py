"""Where along the trunk, and when, do tasks disagree? Exact gradient cosines of every layer at several checkpoints.

Source: Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, definition 1, for each layer.
Shapes: K tasks, P parameters of a layer.
"""

import torch
from torch import Tensor

from mtl.affinity.sharing.sharing_measure import Finding, Inside, SharingMeasure
from mtl.balancing.engine.partition import trainable
from mtl.batch import Batch
from mtl.functional.gradient_rows import gramian_of_matrix
from mtl.functional.gradient_similarity import gradient_similarity
from mtl.model import MultiTaskModel


class LayerCosines(SharingMeasure):
    """Cosine of the gradients of two tasks at the weights of one layer, mean over batches, from -1 to 1."""

    paper = "Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020"
    needs = "checkpoints"
    symmetric = True
    limits = (-1.0, 1.0)
    blind = "Says whether tasks disagree about the next step, not what they share: near 0 with two thirds shared."

    def measure(self, inside: Inside) -> list[Finding]:
        found, names = [], list(inside.tasks)
        for step, model in sorted(inside.checkpoints.items()):
            layers = _layers(model)
            cosines: dict[str, list[Tensor]] = {layer: [] for layer in layers}
            for batch in inside.batches:
                for layer, matrix_KK in _cosines(model, batch, names, layers).items():
                    cosines[layer].append(matrix_KK)
            for layer, matrices in cosines.items():
                mean_KK = torch.stack(matrices).double().nanmean(0)
                for i, source in enumerate(names):
                    for j in range(i + 1, len(names)):
                        found.append(Finding(layer, source, names[j], float(mean_KK[i, j]), step=step))
        return found


def _layers(model: MultiTaskModel) -> dict[str, list[torch.nn.Parameter]]:
    """Shared parameters that learn, by the module that holds them, in the order of the model."""
    shared = {id(parameter) for parameter in trainable(model.partition().shared)}
    found: dict[str, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) in shared:
            found.setdefault(name.rpartition(".")[0].removeprefix("trunk.").removeprefix("backbone."), []).append(
                parameter
            )
    return found


def _cosines(
    model: MultiTaskModel, batch: Batch, names: list[str], layers: dict[str, list[torch.nn.Parameter]]
) -> dict[str, Tensor]:
    losses = model.losses(model(batch), batch)
    flat = [parameter for parameters in layers.values() for parameter in parameters]
    rows: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    for name in names:
        grads = iter(torch.autograd.grad(losses[name], flat, retain_graph=True, allow_unused=True))
        for layer, parameters in layers.items():
            parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=False)]
            rows[layer].append(torch.cat([part.flatten() for part in parts]))
    return {layer: gradient_similarity(gramian_of_matrix(torch.stack(r))).cosines_KK for layer, r in rows.items()}
