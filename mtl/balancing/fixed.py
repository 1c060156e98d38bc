"""Fixed weights: the tuned scalarisation that every dynamic method has to beat.

Source: Kurin et al., "In Defense of the Unitary Scalarization for Deep Multi-Task Learning", NeurIPS 2022.
Shapes: K tasks.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from mtl.balancing.protocols import LossWeighting


class Fixed(LossWeighting):
    """Weights that stay as they are: sum of w_k L_k.

        objective = Fixed([0.7, 0.3])(losses)

    Args:
        weights: one for each task, in the order of the tasks; 0 switches a task off.

    Raises:
        ValueError: if a weight is negative, or their number is not that of the tasks.
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
        return (self.fixed_K[index_K] * losses_K).sum()


def task_weights(weights: Sequence[float], name: str) -> Tensor:
    """Weights that a user wrote, as a tensor.

    Args:
        weights: one for each task.
        name: of the argument, for the message.

    Raises:
        ValueError: if one is negative or not finite, or all are 0.
    """
    tensor = torch.tensor([float(weight) for weight in weights])
    if not len(tensor) or not tensor.isfinite().all() or (tensor < 0).any() or not tensor.any():
        raise ValueError(f"{name}={list(weights)} must be numbers of at least 0, and not all of them 0.")
    return tensor


def check_length(values: Tensor, num_tasks: int, name: str) -> None:
    """Complain about a list that has not one entry for each task.

    Args:
        values: what the user wrote.
        num_tasks: number of tasks K.
        name: of the argument, for the message.

    Raises:
        ValueError: if the numbers differ.
    """
    if len(values) != num_tasks:
        raise ValueError(
            f"{name} has {len(values)} entries, and there are {num_tasks} tasks; "
            f"write one for each, in the order of model.heads. Found {values.tolist()}."
        )
