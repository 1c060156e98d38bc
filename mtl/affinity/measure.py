"""What an affinity measure is: it sees a model and batches, and gives one matrix of task pairs for each batch.

Shapes: N batches, K tasks.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from mtl.batch import Batch
from mtl.model import MultiTaskModel
from mtl.task import Task


@dataclass(frozen=True)
class Evidence:
    """What a measure may look at.

    Args:
        tasks: the tasks by name, in the order of rows and columns.
        batches: labelled batches.
        model: the joint model, where there is one; in training mode, and to be left as it was found.
        singles: a model of each task alone, where there are.
    """

    tasks: Mapping[str, Task]
    batches: Sequence[Batch]
    model: MultiTaskModel | None = None
    singles: Mapping[str, MultiTaskModel] | None = None


class AffinityMeasure(ABC):
    """How much each task has to do with each other one.

    Row i, column j is what task i does for task j; a symmetric measure says so.
    """

    paper: ClassVar[str]  # authors, title, venue and year
    needs: ClassVar[str]  # `labels`, `model` or `singles`
    symmetric: ClassVar[bool] = True

    @classmethod
    def example(cls, **_: Any) -> Self:
        """An instance with its defaults."""
        return cls()

    @abstractmethod
    def measure(self, evidence: Evidence) -> Tensor:
        """One matrix for each batch, [N,K,K]; NaN where a pair cannot be judged in a batch.

        Args:
            evidence: what there is to look at.
        """
