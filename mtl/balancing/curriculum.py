"""Curriculum of weights: start with equal weights and move to the weights of another method, or to fixed weights.

Weights learned or estimated from the first steps are poor; equal weights are safe until the losses have settled.
Shapes: K tasks.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from mtl.balancing.fixed import Fixed
from mtl.balancing.protocols import LossWeighting
from mtl.balancing.scale_invariant import ScaleInvariant


class Curriculum(LossWeighting):
    """Minimises (1 - t) sum of L + t M(L), with t rising from 0 to 1 over `steps` calls and M the other method.

        method = Curriculum(steps=500, start_step=100, weights=[0.7, 0.3])
        objective = method(losses)

    Args:
        steps: number of calls over which the weights move; 0 switches at once. A call is one batch, so an optimiser
            step with gradient accumulation has several calls.
        start_step: number of calls with equal weights before the move.
        method: method that gives the final weights.
        weights: fixed final weights, one per task, in place of `method`.

    Raises:
        ValueError: if not exactly one of `method` and `weights` is given.
    """

    paper = "Bengio et al., Curriculum Learning, ICML 2009 (the idea)"
    step: Tensor

    def __init__(
        self,
        steps: int,
        start_step: int = 0,
        method: LossWeighting | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if (method is None) == (weights is None):
            raise ValueError("Curriculum needs its final weights: give exactly one of `method` and `weights`.")
        if steps < 0 or start_step < 0:
            raise ValueError(f"steps={steps} and start_step={start_step} must be at least 0.")
        self.steps = steps
        self.start_step = start_step
        self.method = method if method is not None else Fixed(weights or [])
        self.losses_after_step = self.method.losses_after_step
        self.positive_losses = self.method.positive_losses
        self.register_buffer("step", torch.tensor(0))

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        return cls(steps=4, start_step=1, method=ScaleInvariant())

    def make_state(self, num_tasks: int) -> None:
        self.method.build(num_tasks)

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        self.method.status.copy_(self.status)
        share = ((self.step - self.start_step) / max(self.steps, 1)).clamp(0, 1).to(losses_K.dtype)
        if not self.steps:
            share = (self.step >= self.start_step).to(losses_K.dtype)
        self.step += 1
        return (1 - share) * losses_K.sum() + share * self.method.objective(losses_K, index_K)

    def observe_step(self, losses: Tensor) -> None:
        self.method.observe_step(losses)

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        self.method.observe_epoch(losses, scores)
