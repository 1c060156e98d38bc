"""PIVRG: fair weights that favour the tasks whose score is furthest below their single-task baseline.

Source: Qin et al., "Revisiting Fairness in Multitask Learning: A Performance-Driven Approach for Variance Reduction",
CVPR 2025.
Shapes: K tasks.
"""

import math

import torch
from torch import Tensor

from mtl.balancing.fairgrad import clip_update
from mtl.balancing.protocols import GradientWeighting
from mtl.functional.gramian import decompose
from mtl.functional.solvers.power_equation import solve_power_equation


class PIVRG(GradientWeighting):
    """Weights w > 0 with G w = (s / w)^(1/2), with G the Gramian and s the performance weights of the tasks.

    s = K softmax(drop / T), where drop_k is how far task k's score is below its single-task baseline, in percent, and
    T = max((largest - smallest drop) / log(bound), min_temperature). s changes at the end of every epoch. The score is
    the monitored validation metric; the authors' code uses training metrics of the last epoch on NYUv2 and Cityscapes,
    and validation metrics elsewhere.
    As in the authors' code, heads follow their own loss (`head_gradients: weighted` weighs them too).

        method = PIVRG(baselines=[0.75, 0.61])
        method.observe_epoch(losses, scores)
        weights = method(gramian, losses)

    Args:
        baselines: score of each task trained alone, higher is better. By default the scores of the first epoch, so the
            task that has gained least since then weighs most; this default is not from the paper.
        bound: largest ratio of two performance weights, unless T is at its minimum; above 1. The authors' code uses 2
            on NYUv2 and CelebA, 1.8 on Cityscapes and QM9.
        min_temperature: in percent; 10 on NYUv2 and CelebA, 20 on Cityscapes, 100 on QM9.
        max_norm: upper limit of the update's norm; no limit by default. The authors' code uses 1.0.

    Raises:
        ValueError: if the bound is not above 1.
    """

    paper = "Qin et al., Revisiting Fairness in Multitask Learning: A Performance-Driven Approach, CVPR 2025"
    scaling = "common"
    never_conflicts = True
    preference_K: Tensor
    baseline_K: Tensor

    def __init__(
        self,
        baselines: list[float] | None = None,
        bound: float = 2.0,
        min_temperature: float = 10.0,
        max_norm: float | None = None,
    ) -> None:
        super().__init__()
        if bound <= 1:
            raise ValueError(f"bound={bound} must be above 1: it is the largest ratio of two performance weights.")
        self.baselines = baselines
        self.bound = bound
        self.min_temperature = min_temperature
        self.max_norm = max_norm

    def make_state(self, num_tasks: int) -> None:
        if self.baselines is not None and len(self.baselines) != num_tasks:
            raise ValueError(f"baselines has {len(self.baselines)} scores for {num_tasks} tasks; give one per task.")
        baselines = [math.nan] * num_tasks if self.baselines is None else self.baselines
        self.register_buffer("baseline_K", torch.tensor(baselines, dtype=torch.float64))
        self.register_buffer("preference_K", torch.ones(num_tasks, dtype=torch.float64))

    @torch.no_grad()
    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        if scores is None:
            return
        self.build(len(scores))
        scores_K = scores.to(self.baseline_K)
        self.baseline_K.copy_(torch.where(self.baseline_K.isnan(), scores_K, self.baseline_K))
        size_K = self.baseline_K.abs().clamp(min=1e-8)
        drop_K = (100 * (self.baseline_K - scores_K) / size_K).nan_to_num(0.0)  # 0 for a task without a score
        temperature = ((drop_K.max() - drop_K.min()) / math.log(self.bound)).clamp(min=self.min_temperature)
        self.preference_K.copy_(len(drop_K) * torch.softmax(drop_K / temperature, dim=0))

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        gram = decompose(gramian_KK)
        weights_K, stationary, solved = solve_power_equation(gram, 0.5, self.preference_K[index_K])
        self.report(stationary, gram.zero_K.any(), ~solved)
        return clip_update(gram, weights_K, self.max_norm)
