"""`Head`: the one interface between the shared features and a task."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from mtl.batch import Batch
from mtl.features import Features, FeatureSpec
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task

Outputs = dict[str, Tensor]


class Head(nn.Module, ABC):
    """Everything of one output type: layers, `loss`, `decode`, `metrics` and the metric to `monitor`.

    Args:
        task: what to predict.
        features: widths and strides of the features it gets.

    Raises:
        ValueError: if the head does not serve tasks of this kind.
    """

    kinds: ClassVar[tuple[str, ...]]
    monitor: tuple[str, str]  # name of a metric, and "max" or "min"

    def __init__(self, task: Task, features: FeatureSpec) -> None:
        super().__init__()
        if task.kind not in self.kinds:
            raise ValueError(
                f"{type(self).__name__} serves tasks of kind {' or '.join(self.kinds)}; "
                f"task {task.name!r} is of kind {task.kind!r}. `python -m mtl list heads` shows who serves it."
            )
        self.task = task
        self.features = features

    @abstractmethod
    def forward(self, features: Features) -> Outputs:
        """Raw outputs in float32, also under autocast.

        Args:
            features: the backbone's maps, level -> [B,C,H,W].
        """

    @abstractmethod
    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Mean loss over the labelled samples of all ranks, a scalar.

        A batch without any label of the task gives an exact zero with a gradient to every parameter of the head.

        Args:
            outputs: what `forward` returned.
            batch: the batch it was computed from.
        """

    @abstractmethod
    def decode(self, outputs: Outputs) -> Predictions:
        """Predictions in the words of the task: `labels` and `scores`, `boxes` in pixels of the network's input.

        Args:
            outputs: what `forward` returned.
        """

    @abstractmethod
    def metrics(self) -> TaskMetrics:
        """A fresh metric set that understands what `decode` returns."""
