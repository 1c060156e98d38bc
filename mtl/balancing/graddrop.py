"""GradDrop: where tasks disagree on the sign of a coordinate, draw one sign and drop gradients of the other sign.

Source: Chen et al., "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout", NeurIPS 2020,
algorithm 1.
Shapes: K tasks, P shared parameters (or feature values).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mtl.balancing.protocols import GradientAggregation


class GradDrop(GradientAggregation):
    """Keeps the positive parts of a coordinate with probability P = (1 + sum g / sum |g|) / 2, else the negative parts.

    One uniform number per coordinate decides for all tasks. The paper uses gradients of activations, sums them over the
    batch and first multiplies them by the sign of the activation. LibMTL accepts features only, TorchJD any gradients.
    A coordinate without any gradient stays 0; TorchJD divides 0 by 0 there.

        update = GradDrop()(gradients)

    Args:
        leak: share of a task's gradient that is never dropped, one number or one per task; 0 in most of the paper's
            runs.
        seed: random seed; every rank draws the same numbers.
    """

    paper = "Chen et al., Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout, NeurIPS 2020"
    scaling = "common"
    step: Tensor
    leak_K: Tensor

    def __init__(self, leak: float | Sequence[float] = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.leaks = [float(leak)] if isinstance(leak, int | float) else [float(share) for share in leak]
        if not self.leaks or not all(0 <= share <= 1 for share in self.leaks):
            raise ValueError(f"leak={leak} must be within 0..1: 0 drops fully, 1 never drops.")
        self.seed = seed
        self.register_buffer("step", torch.tensor(0))
        self._host_step: int | None = None  # CPU copy of `step`; reading it from a GPU syncs

    def make_state(self, num_tasks: int) -> None:
        if len(self.leaks) not in (1, num_tasks):
            raise ValueError(f"leak has {len(self.leaks)} entries for {num_tasks} tasks; give one, or one per task.")
        self.register_buffer("leak_K", torch.tensor(self.leaks).expand(num_tasks).clone())

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        if self._host_step is None:
            self._host_step = int(self.step)
        generator = torch.Generator(gradients_KP.device).manual_seed((self.seed << 32) + self._host_step)
        uniform_P = torch.rand(
            gradients_KP.shape[1], generator=generator, dtype=gradients_KP.dtype, device=gradients_KP.device
        )
        self._host_step += 1
        self.step += 1
        return graddrop(gradients_KP, uniform_P, self.leak_K[index_K].to(uniform_P.dtype) if any(self.leaks) else None)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        self._host_step = None
        super()._load_from_state_dict(state_dict, prefix, *args)


def graddrop(gradients_KP: Tensor, uniform_P: Tensor, leak_K: Tensor | None = None) -> Tensor:
    """GradDrop with given random numbers, [P].

    Args:
        gradients_KP: one row per task, [K,P].
        uniform_P: numbers in (0, 1), one per coordinate, [P].
        leak_K: share of each task's gradient that is never dropped, [K]; 0 by default.
    """
    positive_KP, negative_KP = gradients_KP.clamp_min(0), gradients_KP.clamp_max(0)
    positive_P, negative_P = positive_KP.sum(0), negative_KP.sum(0)
    size_P = positive_P - negative_P
    # (1 + sum g / sum |g|) / 2 is the positive share; without any gradient the result is 0 for every share
    share_P = positive_P / size_P.clamp_min(torch.finfo(size_P.dtype).tiny)
    leaked_P = None
    if leak_K is not None:
        positive_P, negative_P = (1 - leak_K) @ positive_KP, (1 - leak_K) @ negative_KP
        leaked_P = leak_K @ gradients_KP
    kept_P = positive_P * (share_P > uniform_P) + negative_P * (share_P < uniform_P)
    update_P = kept_P if leaked_P is None else kept_P + leaked_P
    # comparisons with NaN are false and would silently drop it
    return torch.where(size_P.isfinite(), update_P, size_P)
