"""`FirstPredictions`: an architecture whose tasks predict twice, first from features that the others read too.

The model gives every task a second head of the same class for it, so it works for every kind of head. The loss of the
first prediction is added to the task's loss; in evaluation there is none.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from torch import nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.copies import another
from mtl.backbones.backbone import Backbone
from mtl.features import Features

FIRST = "first/"  # in front of the names of outputs


class FirstPredictions(Architecture):
    """Base class: a subclass says in `initial` what the first head of a task reads; its levels are in `spec`.

    Args:
        backbone: the trunk.
        names: names of the tasks.
        first_weight: weight of the losses of the first predictions; 0 for none.

    Raises:
        ValueError: for a weight below 0.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], first_weight: float = 1.0) -> None:
        super().__init__(backbone, names)
        if first_weight < 0:
            raise ValueError(f"{type(self).__name__}: first_weight={first_weight} must be at least 0.")
        self.first_weight = first_weight

    @abstractmethod
    def initial(self, cut: Features, name: str) -> Features:
        """What the first head of a task reads, as `spec` says.

        Args:
            cut: the tensors of the cut, as this task sees them.
            name: the task.
        """

    def take_heads(self, heads: Mapping[str, nn.Module]) -> None:
        """Make the first heads; the model calls it.

        Args:
            heads: the heads of the model, by task.
        """
        if self.first_weight:
            for name, head in heads.items():
                self.of_task[name].first = another(head)

    def harden(self, name: str) -> None:
        if hasattr(self.of_task[name], "first"):
            del self.of_task[name].first
        super().harden(name)
