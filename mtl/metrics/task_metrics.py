"""`TaskMetrics`: what every head hands the loop to measure itself with."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from mtl.batch import Batch
from mtl.task import Task

Predictions = dict[str, Tensor]


class TaskMetrics(nn.Module):
    """All metrics of one task, fed with decoded predictions; states live on the module's device and survive DDP.

    Args:
        task: the task that is measured.
    """

    lower_is_better: ClassVar[frozenset[str]] = frozenset()  # names of the metrics that are errors

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    @abstractmethod
    def update(self, predictions: Predictions, batch: Batch) -> None:
        """Take in one batch; samples without a label of this task are left out.

        Args:
            predictions: what the head's `decode` returned.
            batch: the batch they belong to.
        """

    @abstractmethod
    def compute(self, per_class: bool = False) -> dict[str, Tensor]:
        """Every metric by name, over all ranks. A metric without any labelled sample is left out, never -1 or NaN.

        Args:
            per_class: also give the metrics of single classes.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything seen."""
