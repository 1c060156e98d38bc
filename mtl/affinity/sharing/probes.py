"""Probes: how much of a task's target a ridge regression reads off each level of another task's network.

Source: Alain, Bengio, "Understanding Intermediate Layers Using Linear Classifier Probes", ICLR workshop 2017; the
baselines as in Hewitt, Liang, "Designing and Interpreting Probes with Control Tasks", EMNLP 2019.
Shapes: S samples, D features, Q numbers of a target.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.affinity.sharing.pooled import RAW, pooled_levels, raw_inputs
from mtl.affinity.sharing.sharing_measure import Finding, Inside, SharingMeasure
from mtl.batch import Batch, labelled
from mtl.model import MultiTaskModel
from mtl.targets.target import target_of
from mtl.task import Task

JOINT = "joint"
_RIDGES = torch.logspace(-4, 4, 9, dtype=torch.float64)
_MOST_CLASSES = 50
_LEAST_FREE = 0.2  # share of the samples that a fit must not use up: cross-validation fails where it goes through all


class Probes(SharingMeasure):
    """R2 on held-back samples, of ridge probes trained on the first half of the batches and tested on the others.

    Probes stand on single-task networks where they are given, or else on the joint one. The baselines are the same
    probe on the raw input and on a network of random weights. A target of classes is probed as one number for each
    class; of boxes, how many there are and the class of the largest.
    """

    paper = "Alain, Bengio, Understanding Intermediate Layers Using Linear Classifier Probes, ICLR workshop 2017"
    needs = "model"
    blind = "A probe finds what is there, used or not: read it beside the raw input, which often scores higher."

    def measure(self, inside: Inside) -> list[Finding]:
        models: dict[str, MultiTaskModel] = dict(inside.singles or {})
        if not models and inside.model is not None:
            models = {JOINT: inside.model}
        if not models:
            raise ValueError("Probes stand on networks; name a run with --run, or runs of single tasks with --single.")
        batches = inside.batches
        if len(batches) < 2:
            raise ValueError(f"Probes train on half of the batches and test on the others; {len(batches)} is too few.")
        half = sum(_size(batch) for batch in batches[: len(batches) // 2])
        targets = {name: _target(task, batches) for name, task in inside.tasks.items()}
        raw = raw_inputs(next(iter(models.values())), batches)
        of_raw = {name: probe(raw, target, half) for name, target in targets.items()}
        untrained = {} if inside.untrained is None else pooled_levels(inside.untrained, batches)
        of_untrained = {
            (level, name): probe(values_SD, target, half)
            for level, values_SD in untrained.items()
            for name, target in targets.items()
        }
        found = []
        for source, model in models.items():
            for level, features_SD in pooled_levels(model, batches).items():
                for target, values_SQ in targets.items():
                    baselines = {RAW: of_raw[target]}
                    if (level, target) in of_untrained:
                        baselines["untrained"] = of_untrained[level, target]
                    found.append(Finding(level, source, target, probe(features_SD, values_SQ, half), baselines))
        return found


def probe(features_SD: Tensor, target_SQ: Tensor, half: int) -> float:
    """R2 of a ridge regression on the samples behind the first half; its strength is chosen on the first half alone.

    Args:
        features_SD: of all samples.
        target_SQ: of all samples, NaN where unknown.
        half: number of samples to learn from.

    Returns:
        1 - squared error / variance, over all numbers of the target; NaN where nothing is known or nothing varies.
    """
    known_S = target_SQ.isfinite().all(1)
    learn_S = known_S & (torch.arange(len(known_S)) < half)
    test_S = known_S & ~learn_S
    if min(int(learn_S.sum()), int(test_S.sum())) < 4:
        return torch.nan
    mean_D, std_D = features_SD[learn_S].mean(0), features_SD[learn_S].std(0)
    scaled_SD = (features_SD - mean_D) / torch.where(std_D > 1e-9, std_D, torch.inf)
    centre_Q = target_SQ[learn_S].mean(0)
    x_SD, y_SQ = scaled_SD[learn_S], target_SQ[learn_S] - centre_Q
    # generalised cross-validation, Golub, Heath, Wahba 1979: leave-one-out errors from one decomposition
    u_SR, s_R, v_RD = torch.linalg.svd(x_SD, full_matrices=False)
    projected_RQ = u_SR.T @ y_SQ
    best = (torch.inf, torch.zeros(x_SD.shape[1], y_SQ.shape[1], dtype=x_SD.dtype))
    for ridge in _RIDGES * len(x_SD):
        shrink_R = s_R.square() / (s_R.square() + ridge)
        free = float(1 - shrink_R.sum() / len(x_SD))
        if free < _LEAST_FREE:
            continue
        error = (y_SQ - u_SR @ (shrink_R[:, None] * projected_RQ)).square().sum()
        score = float(error) / free**2
        if score < best[0]:
            best = (score, v_RD.T @ ((s_R / (s_R.square() + ridge))[:, None] * projected_RQ))
    truth_SQ = target_SQ[test_S] - centre_Q
    varies = (truth_SQ - truth_SQ.mean(0)).square().sum()
    return float(1 - (truth_SQ - scaled_SD[test_S] @ best[1]).square().sum() / varies) if varies > 0 else torch.nan


def _target(task: Task, batches: Sequence[Batch]) -> Tensor:
    """The target as numbers [S,Q], NaN where unknown."""
    target = target_of(task)
    views = [target.views(batch, labelled(batch, task)) for batch in batches]
    columns: list[Tensor] = []
    # the third view of boxes, which classes there are, is a code and not a number
    for parts in list(zip(*views, strict=True))[:2]:
        view_S = torch.cat(parts)
        if not columns:  # a picture without boxes has a known count, and no class of the largest: 0 for each
            known_S1 = (view_S.isfinite() if view_S.is_floating_point() else view_S >= 0)[:, None]
        if view_S.is_floating_point() or int(view_S.max()) >= _MOST_CLASSES:
            numbers_S1 = torch.where(view_S >= 0, view_S, torch.nan) if not view_S.is_floating_point() else view_S
            columns.append(numbers_S1.double()[:, None])
            continue
        one_hot_SQ = torch.nn.functional.one_hot(view_S.clamp(min=0).long()).double() * (view_S >= 0)[:, None]
        columns.append(torch.where(known_S1, one_hot_SQ, torch.nan))
    if not columns:
        size = sum(_size(batch) for batch in batches)
        return torch.full((size, 1), torch.nan, dtype=torch.float64)
    return torch.cat(columns, 1)


def _size(batch: Batch) -> int:
    return len(next(value for value in batch.values() if isinstance(value, Tensor)))
