"""What a task schedule is: it says on the host which tasks train at a step, the same on every rank.

Shapes: K tasks.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn


class TaskSchedule(nn.Module, ABC):
    """Which tasks train at a step. State is buffers on the host, so a run resumes exactly.

    A step must not wait for a GPU to know which heads to run: what is measured comes back once in a window of steps.
    """

    paper: ClassVar[str]  # authors, title, venue and year
    window: int = 0  # optimiser steps between two calls of `observe_losses`; 0: never called
    built_for: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.num_tasks = 0
        self.register_buffer("built_for", torch.tensor(0))  # in the state, so that it can be loaded into a new one

    @classmethod
    def example(cls) -> Self:
        """An instance for tests and lists; override it where the constructor has arguments without default."""
        return cls()

    def build(self, num_tasks: int) -> None:
        """Make the state for a number of tasks.

        Args:
            num_tasks: number of tasks K.

        Raises:
            ValueError: for fewer than two tasks, or if the schedule asks for more tasks than there are.
        """
        if num_tasks < 2:
            raise ValueError(f"a schedule chooses among tasks, and the model has {num_tasks}. Remove TaskScheduling.")
        self.num_tasks = num_tasks
        self.built_for.fill_(num_tasks)
        self.make_state(num_tasks)

    def make_state(self, num_tasks: int) -> None:
        """Register buffers that have one entry for each task; nothing by default.

        Args:
            num_tasks: number of tasks K.
        """

    @abstractmethod
    def active(self, step: int) -> list[bool]:
        """Which of the K tasks train; at least one. Asked once for a step, changes no state.

        Args:
            step: optimiser steps done.
        """

    def watched(self, step: int) -> bool:
        """Whether the gradients of this step are wanted; then all tasks train.

        Args:
            step: optimiser steps done.
        """
        return False

    def observe_losses(self, losses_K: Tensor) -> None:
        """The end of a window.

        Args:
            losses_K: mean loss of each task over the steps of the window in which it trained; NaN if there was none.
        """

    def observe_cosines(self, cosines_KK: Tensor) -> None:
        """The end of a row of watched steps.

        Args:
            cosines_KK: mean cosines of the task gradients at the features; NaN where one was zero.
        """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.num_tasks and int(state_dict.get(f"{prefix}built_for", 0)):
            self.build(int(state_dict[f"{prefix}built_for"]))
        super()._load_from_state_dict(state_dict, prefix, *args)


def check_tasks_per_step(tasks_per_step: int, num_tasks: int | None = None) -> int:
    """How many tasks train at a step, checked.

    Args:
        tasks_per_step: at least 1.
        num_tasks: that there are, where it is known.

    Raises:
        ValueError: if it is below 1 or above the number of tasks.
    """
    most = tasks_per_step if num_tasks is None else num_tasks
    if not 1 <= tasks_per_step <= most:
        raise ValueError(f"tasks_per_step={tasks_per_step} must be at least 1 and at most the number of tasks.")
    return tasks_per_step
