"""`Architecture`: how tasks share a backbone, and where shared computation ends and a task's own begins.

The *cut* is the set of tensors that pass from shared to own computation. Gradients of the tasks meet there; a
balancing method at the features works on it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Self

from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.features import Features, FeatureSpec


class Architecture(nn.Module, ABC):
    """Prepared inputs -> cut -> the view of each task.

    A subclass registers what belongs to one task in `self.of_task[name]`; every other parameter is shared, however
    many tasks reach it. The base class keeps no backbone: a subclass does, and calls `backbone.run(prepared)` in `cut`.
    A head may read one level of several, so a parameter for each level can be left without a gradient, and DDP then
    waits for it: add `0 * parameter.sum()` of the others to a level, or put the parameters where all levels pass.

    Args:
        backbone: the trunk.
        names: names of the tasks that have a head.

    Raises:
        ValueError: if the backbone does not say what it gives.
    """

    shared_after_cut: bool = False  # shared parameters are used in `view` too: the trunk runs once a task

    spec: FeatureSpec  # of the views, which heads are built from
    cut_spec: FeatureSpec  # of the cut

    def __init__(self, backbone: Backbone, names: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(getattr(backbone, "spec", None), FeatureSpec):
            raise ValueError(f"{backbone.title} has no spec; set `self.spec = FeatureSpec(...)` in its constructor.")
        self.spec = self.cut_spec = backbone.spec
        self.names = list(names)
        self.of_task = nn.ModuleDict({name: nn.Module() for name in names})

    @classmethod
    def example(cls, backbone: Backbone, names: Sequence[str]) -> Self:
        """An instance for tests and listings; override it if the constructor has arguments without a default.

        Args:
            backbone: the trunk.
            names: names of the tasks.
        """
        return cls(backbone, names)

    @abstractmethod
    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        """What is shared, computed once.

        Args:
            prepared: what the kinds of inputs made of a batch.
        """

    def view(self, cut: Features, name: str) -> Features:
        """The features of one task, as `spec` says.

        Args:
            cut: the tensors of the cut, as this task sees them.
            name: the task.
        """
        return cut

    def penalty(self) -> Tensor | None:
        """What is added to the objective beside the losses of the tasks, such as load balance or sparsity.

        A penalty on batch statistics must average them over all ranks first; otherwise N ranks differ from one process.
        """
        return None

    @property
    def has_penalty(self) -> bool:
        """Whether `penalty` gives anything."""
        return type(self).penalty is not Architecture.penalty

    def harden(self, name: str) -> None:
        """Drop what belongs to other tasks, before one task is exported; a subclass also merges or takes a branch.

        Args:
            name: the task that is exported; from now on the only one with a view.
        """
        for other in self.names:
            if other != name:
                self.of_task[other] = nn.Module()
        self.names = [name]

    def forward(self, prepared: Mapping[str, Tensor]) -> dict[str, Features]:
        """The views of all tasks; the model calls `cut` and `view` itself, with the junction between them.

        Args:
            prepared: what the kinds of inputs made of a batch.
        """
        cut = self.cut(prepared)
        return {name: self.view(cut, name) for name in self.names}
