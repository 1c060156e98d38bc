"""`Junction`: hands every task its view of the shared features; balancing methods and task schedules act here.

The features at the junction are the *cut*: the tensors that pass from shared to own computation. Only floating tensors
that need a gradient are forked for a balancing method; masks, indices and levels of frozen layers pass beside it.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

import torch
from torch import Tensor

from mtl.features import MASK, Features


class GradientNode(Protocol):
    """What a balancing method puts between the cut and the tasks."""

    gramian: Tensor | None  # inner products of the task gradients [K,K], of the last step that had them
    ragged: bool  # whether levels may be longer on one rank than on another; set at every call
    watched: bool  # whether somebody reads `gramian`, so that it is computed also for methods without one

    def split(self, levels: list[Tensor], num_tasks: int) -> list[list[Tensor]]:
        """A view of every level for each task, K lists of L tensors.

        Args:
            levels: the tensors of the cut that need a gradient.
            num_tasks: number of tasks K.
        """


class Junction:
    """Called by the model with the cut; plain sharing unless a node or a choice of tasks is set."""

    def __init__(self) -> None:
        self.node: GradientNode | None = None
        self.active: Collection[str] | None = None  # tasks that train at this step; None for all
        self.levels: list[Tensor] = []  # of the last call with gradients

    def __deepcopy__(self, memo: dict[int, object]) -> "Junction":
        return Junction()  # a copied model shares plainly; gradients of the copy are nobody's

    def clear(self) -> None:
        """Back to plain sharing."""
        self.node, self.active, self.levels = None, None, []

    def __call__(self, cut: Features, names: Sequence[str]) -> dict[str, Features]:
        """The features of every task that runs.

        Args:
            cut: the shared features.
            names: all tasks.
        """
        if self.node is None and self.active is None:
            return dict.fromkeys(names, cut)
        views: dict[str, Features] = self._split(cut, names)
        return views

    # which tasks run, and the nodes of autograd, are no matter for a compiler: it compiles what lies before and behind
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _split(self, cut: Features, names: Sequence[str]) -> dict[str, Features]:
        if not torch.is_grad_enabled():
            return dict.fromkeys(names, cut)
        forked = {key: level for key, level in cut.items() if level.is_floating_point() and level.requires_grad}
        # one tensor under two names is forked once, or its gradient would be split into two orthogonal parts
        places: dict[int, int] = {}
        for level in forked.values():
            places.setdefault(id(level), len(places))
        self.levels = list({id(level): level for level in forked.values()}.values())
        if self.node is None or not self.levels:
            views = [self.levels] * len(names)
        else:
            self.node.ragged = any(key.endswith(MASK) for key in cut)
            views = self.node.split(self.levels, len(names))
        return {
            name: {key: view[places[id(level)]] if key in forked else level for key, level in cut.items()}
            for name, view in zip(names, views, strict=True)
            if self.active is None or name in self.active
        }
