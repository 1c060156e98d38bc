"""Layerwise CKA: whether single-task networks see the same samples alike at each level, beside two baselines.

Source: Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", ICML 2019, eq. 4.
Shapes: S samples, D features.
"""

import torch
from torch import Tensor

from mtl.affinity.sharing.pooled import pooled_levels
from mtl.affinity.sharing.sharing_measure import Finding, Inside, SharingMeasure


class LayerwiseCKA(SharingMeasure):
    """Linear CKA of two single-task networks at each level, minus the larger of its baselines.

    `untrained` compares each with a network of random weights, and shows how much the input alone makes them alike;
    `permuted` shuffles the samples of one, and shows how much so few samples do. `cka` is the value without them.
    """

    paper = "Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019"
    needs = "singles"
    symmetric = True
    blind = "Networks that read all of the input look alike whatever they learn: zero means no more than untrained."

    def measure(self, inside: Inside) -> list[Finding]:
        singles = inside.singles or {}
        if missing := [name for name in inside.tasks if name not in singles]:
            raise ValueError(f"LayerwiseCKA compares single-task networks; --single lacks {', '.join(missing)}.")
        names = list(inside.tasks)
        pooled = {name: pooled_levels(singles[name], inside.batches) for name in names}
        untrained = {} if inside.untrained is None else pooled_levels(inside.untrained, inside.batches)
        found = []
        for level in pooled[names[0]]:
            if any(level not in pooled[name] for name in names):
                continue  # networks of other shape
            features = {name: pooled[name][level] for name in names}
            for i, source in enumerate(names):
                for target in names[i + 1 :]:
                    one_SD, other_SD = features[source], features[target]
                    order = torch.randperm(len(one_SD), generator=torch.Generator().manual_seed(0))
                    baselines = {"permuted": linear_cka(one_SD, other_SD[order])}
                    if level in untrained:
                        pairs = (linear_cka(part_SD, untrained[level]) for part_SD in (one_SD, other_SD))
                        baselines["untrained"] = max(pairs)
                    value = linear_cka(one_SD, other_SD)
                    left = value - max(baselines.values())
                    found.append(Finding(level, source, target, left, {**baselines, "cka": value}))
        return found


def linear_cka(first_SD: Tensor, second_SD: Tensor) -> float:
    """||X'Y||^2 / (||X'X|| ||Y'Y||) of centred features.

    Args:
        first_SD: features of the samples.
        second_SD: other features of the same samples.
    """
    one_SD, other_SD = (features - features.mean(0) for features in (first_SD, second_SD))
    length = (one_SD.T @ one_SD).norm() * (other_SD.T @ other_SD).norm()
    return float((one_SD.T @ other_SD).square().sum() / length) if length > 0 else 0.0
