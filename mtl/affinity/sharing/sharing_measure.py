"""What a measure of sharing is: it looks inside networks, and gives a number for each level and pair of tasks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from mtl.affinity.measure import Evidence
from mtl.model import MultiTaskModel


@dataclass(frozen=True)
class Inside(Evidence):
    """What a measure of sharing may look at.

    Args:
        untrained: a joint model with random weights, where there is one.
        checkpoints: the joint model at several steps of its run, by step.
    """

    untrained: MultiTaskModel | None = None
    checkpoints: Mapping[int, MultiTaskModel] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One number of a measure.

    Args:
        level: where in the network.
        source: the task that is looked at from.
        target: the task that is looked at.
        value: the number; NaN where it is unknown.
        baselines: what the same computation gives where nothing is shared or learned, by name.
        step: of the run, for a measure that follows it.
    """

    level: str
    source: str
    target: str
    value: float
    baselines: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None


class SharingMeasure(ABC):
    """How much two tasks share at each level of a network."""

    paper: ClassVar[str]  # authors, title, venue and year
    needs: ClassVar[str]  # `model`, `singles` or `checkpoints`
    symmetric: ClassVar[bool] = False
    blind: ClassVar[str]  # where its number misleads, in one sentence; stands under its picture
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)  # of the colours

    @abstractmethod
    def measure(self, inside: Inside) -> list[Finding]:
        """The findings, level by level.

        Args:
            inside: what there is to look at.
        """
