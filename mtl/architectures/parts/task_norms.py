"""Norms of a trunk that runs once for each task: every task has its own factors and statistics."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.architectures.parts.memo import Memo


class TaskNorms:
    """Puts a `TaskNorm` in the place of every norm of a trunk; the norms themselves belong to the tasks.

    Args:
        trunk: changed in place.
        of_task: takes the norms, `norms` of each task.
        keep: parts of the trunk that run once for all tasks, and keep their norms.
        kinds: classes of the norms.
        make: makes the norm of a task from the trunk's norm; a copy by default.
    """

    def __init__(
        self,
        trunk: nn.Module,
        of_task: nn.ModuleDict,
        keep: Iterable[nn.Module],
        kinds: tuple[type[nn.Module], ...] = (_BatchNorm,),
        make: Callable[[nn.Module], nn.Module] = copy.deepcopy,
    ) -> None:
        self.turn = Memo()
        self.trunk = trunk
        self.of_task = of_task
        kept = {id(module) for part in keep for module in part.modules()}
        found = [
            (place, child)
            for place, child in trunk.named_modules()
            if isinstance(child, kinds) and place and id(child) not in kept
        ]
        self.number = len(found)
        for part in of_task.values():
            part.norms = nn.ModuleList(make(norm) for _, norm in found)
        for index, (place, _) in enumerate(found):
            trunk.set_submodule(place, TaskNorm(of_task, index, self.turn))

    def take_turn(self, task: str) -> None:
        """Say whose norms work from now on.

        Args:
            task: the task's name.
        """
        self.turn.task = task

    def settle(self, task: str) -> None:
        """Put the norms of one task into the trunk, for good.

        Args:
            task: the task's name.
        """
        for place, module in list(self.trunk.named_modules()):
            if isinstance(module, TaskNorm):
                self.trunk.set_submodule(place, self.of_task.get_submodule(f"{task}.norms.{module.index}"))


class TaskNorm(nn.Module):
    """Stands for a norm that each task has its own of; holds no parameter.

    Args:
        of_task: the modules of the tasks.
        index: which of their norms.
        turn: whose turn it is.
    """

    of_task: nn.ModuleDict

    def __init__(self, of_task: nn.ModuleDict, index: int, turn: Memo) -> None:
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
        return self.of_task.get_submodule(f"{self.turn.task}.norms.{self.index}")(x)
