"""Fixed weights: a tuned scalarisation, the baseline that dynamic methods have to beat.

Source: Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task Learning", NeurIPS 2022.
Shapes: K tasks.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class Fixed(LossWeighting):
    """Minimises sum of w_k L_k with constant weights w.

        objective = Fixed([0.7, 0.3])(losses)

    Args:
        weights: one per task, in the order of the tasks; 0 switches a task off.

    Raises:
        ValueError: if a weight is negative, or the number of weights differs from the number of tasks.
    """

    paper = "Kurin et al., In Defense of the Unitary Scalarization for Deep Multi-Task Learning, NeurIPS 2022"
    symmetric = False
    scaling = "common"

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("fixed_K", task_weights(weights, "weights"))
        self.fixed_K: Tensor

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        return cls([1 / (1 + task) for task in range(num_tasks)])

    def make_state(self, num_tasks: int) -> None:
        check_length(self.fixed_K, num_tasks, "weights")

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        return (self.fixed_K[index_K].to(losses_K.dtype) * losses_K).sum()


def task_weights(weights: Sequence[float], name: str) -> Tensor:
    """Check user-given task weights and convert them to a tensor.

    Args:
        weights: one per task.
        name: name of the argument, for the error message.

    Raises:
        ValueError: if a weight is negative or not finite, or all are 0.
    """
    tensor = torch.tensor([float(weight) for weight in weights], dtype=torch.float64)
    if not len(tensor) or not tensor.isfinite().all() or (tensor < 0).any() or not tensor.any():
        raise ValueError(f"{name}={list(weights)} must be numbers of at least 0, and at least one must be above 0.")
    return tensor


def task_values(values: Sequence[float] | None, num_tasks: int, default: float) -> Tensor:
    """User-given values of any sign as a tensor in float64, or the default for every task, [K].

    Args:
        values: one per task, or None.
        num_tasks: number of tasks K.
        default: the value without a list.
    """
    given = [default] * num_tasks if values is None else [float(value) for value in values]
    return torch.tensor(given, dtype=torch.float64)


def check_length(values: Tensor, num_tasks: int, name: str) -> None:
    """Check that a user-given list has one entry per task.

    Args:
        values: the list.
        num_tasks: number of tasks K.
        name: name of the argument, for the error message.

    Raises:
        ValueError: if the number of entries is not K.
    """
    if len(values) != num_tasks:
        raise ValueError(
            f"{name} has {len(values)} entries for {num_tasks} tasks: {values.tolist()}. "
            "Give one entry per task, in the order of model.heads."
        )
