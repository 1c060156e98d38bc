"""Adversarial task gradients: zero, opposite and duplicate rows, norms over 12 decades, up to 40 tasks.

Shapes: K tasks, P parameters.
"""

import torch
from torch import Tensor

KINDS = (
    "plain",
    "conflicting",
    "zero row",
    "opposite",
    "nearly opposite",
    "duplicate",
    "12 decades",
    "12 decades, opposite",
    "12 decades, zero row",
    "low rank",
    "nearly stationary",
    "nearly stationary, 6 decades",
)
STATIONARY_KINDS = ("opposite", "centred", "12 decades, opposite")


def adversarial_rows(kind: str, num_tasks: int, seed: int) -> Tensor:
    """Task gradients [K,P] in float64.

    Args:
        kind: one of `KINDS`, or `centred`: rows that sum to 0.
        num_tasks: number of tasks K, at least 2.
        seed: random seed.
    """
    generator = torch.Generator().manual_seed(1000 * seed + num_tasks)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    def between(low: float, high: float, *size: int) -> Tensor:
        return low + (high - low) * torch.rand(*size, generator=generator, dtype=torch.float64)

    columns = 2 * num_tasks + 3
    rows_KP = normal(num_tasks, columns)
    if kind == "conflicting":
        rows_KP -= float(1 - 10 ** between(-3, -0.3, 1)) * rows_KP.mean(0)
    elif kind == "low rank":
        rank = max(1, num_tasks // 2)
        rows_KP = (normal(num_tasks, rank) + seed % 3 / 2) @ normal(rank, columns)
    elif kind.startswith("nearly stationary") or kind == "centred":
        rows_KP -= rows_KP.mean(0)
        rows_KP += 0 if kind == "centred" else 10 ** between(-8, -3, 1) * normal(columns)
    if "decades" in kind:
        half = 3 if "6 decades" in kind else 6
        rows_KP *= 10 ** between(-half, half, num_tasks, 1)
    if "zero row" in kind:
        rows_KP[seed % num_tasks] = 0
    if kind in ("opposite", "12 decades, opposite"):
        rows_KP[0] = -rows_KP[-1] * 10 ** between(-3, 3, 1)
    elif kind == "nearly opposite":
        rows_KP[0] = -rows_KP[-1] + 10 ** between(-9, -1, 1) * normal(columns)
    elif kind == "duplicate":
        rows_KP[0] = rows_KP[-1] * 10 ** between(-3, 3, 1)
    return rows_KP
