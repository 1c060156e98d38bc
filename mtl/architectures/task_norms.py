"""Batch norms of a trunk that runs once for each task: every task has its own factors and statistics."""

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class TaskNorms:
    """Puts a `TaskNorm` in the place of every batch norm of a trunk; the norms themselves belong to the tasks.

    Args:
        trunk: changed in place.
        of_task: takes the norms, `norms` of each task.
        keep: a part of the trunk that runs once for all tasks, and keeps its norms.
    """

    def __init__(self, trunk: nn.Module, of_task: nn.ModuleDict, keep: nn.Module) -> None:
        self.turn: dict[str, str] = {"task": ""}
        kept = {id(module) for module in keep.modules()}
        found = [
            (parent, name, child)
            for parent in trunk.modules()
            for name, child in parent.named_children()
            if isinstance(child, _BatchNorm) and id(child) not in kept
        ]
        for part in of_task.values():
            part.norms = nn.ModuleList(copy.deepcopy(norm) for _, _, norm in found)
        for index, (parent, name, _) in enumerate(found):
            setattr(parent, name, TaskNorm(of_task, index, self.turn))

    def take_turn(self, task: str) -> None:
        """Say whose norms work from now on.

        Args:
            task: the task's name.
        """
        self.turn["task"] = task


class TaskNorm(nn.Module):
    """Stands for a norm that each task has its own of; holds no parameter.

    Args:
        of_task: the modules of the tasks.
        index: which of their norms.
        turn: whose turn it is.
    """

    of_task: nn.ModuleDict

    def __init__(self, of_task: nn.ModuleDict, index: int, turn: dict[str, str]) -> None:
        super().__init__()
        # not registered here: the norms are the tasks', and have their names in checkpoints there
        self.__dict__["of_task"] = of_task
        self.index = index
        self.turn = turn

    def forward(self, x: Tensor) -> Any:
        """The norm of the task whose turn it is.

        Args:
            x: as the norm takes it.
        """
        return self.of_task.get_submodule(f"{self.turn['task']}.norms.{self.index}")(x)
