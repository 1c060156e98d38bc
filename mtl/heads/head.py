"""`Head`: the interface between the shared features and a task."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from mtl.batch import Batch
from mtl.features import Features, FeatureSpec
from mtl.metrics.task_metrics import Predictions, TaskMetrics
from mtl.task import Task

Outputs = dict[str, Tensor]


class Head(nn.Module, ABC):
    """Base class of heads: layers, `loss`, `decode`, `metrics` and the metric to `monitor` of one output type.

    Args:
        task: the task to predict.
        features: widths, strides and layouts of its input features.

    Raises:
        ValueError: if the head does not support tasks of this kind.
    """

    kinds: ClassVar[tuple[str, ...]]  # words in `Task.kind`, such as `("classification",)`
    # name of a metric, and "max" or "min". Right predictions make it 1 or 0, for the joint score is the mean over tasks
    # of m, or 1 / (1 + m) for "min"; a "min" metric stands in `lower_is_better` of the metric set too
    monitor: tuple[str, str]
    wants_class_counts: bool = False  # whether `take_class_counts` is to be called before training
    attends: bool = False  # whether `attention` says what a prediction looked at
    scale: ClassVar[tuple[str, ...]] = ()  # settings that raw outputs are to be read with; a teacher must have the same
    class_by_class: ClassVar[tuple[str, ...]] = ()  # parameters whose rows and columns are both classes
    decodes_in_steps: bool = False  # whether `decode` loops over the steps of a sequence
    exportable: bool = True  # whether `decode` is one graph; a search step by step has no graph

    def __init__(self, task: Task, features: FeatureSpec) -> None:
        super().__init__()
        if not isinstance(getattr(self, "kinds", None), tuple):
            raise ValueError(f'{type(self).__name__} has no tuple of kinds; write `kinds = ("{task.kind}",)` in it.')
        if task.kind not in self.kinds:
            raise ValueError(
                f"{type(self).__name__} supports tasks of kind {' or '.join(self.kinds)}; task {task.name!r} is of "
                f"kind {task.kind!r}. `python -m mtl list heads` lists the heads for each kind."
            )
        self.task = task
        self.features = features

    @abstractmethod
    def forward(self, features: Features) -> Outputs:
        """Raw outputs in float32, also under autocast.

        Args:
            features: level -> [B,C,H,W], [B,T,C] or [B,C], as `self.features.layouts` says, and `<level>_mask`;
                `Pool` in mtl/heads/whole/pooling.py makes one vector of any.
        """

    @abstractmethod
    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Mean loss over the labelled samples of all ranks, a scalar.

        A batch without labels of the task gives an exact 0 with a gradient for every parameter of the head. One sum
        divided by one `global_count` gives a validation loss that no size of batches changes.

        Args:
            outputs: result of `forward`.
            batch: the batch of these outputs.
        """

    @abstractmethod
    def decode(self, outputs: Outputs) -> Predictions:
        """Predictions in the format of the task, such as `labels`, `scores`, and `boxes` in input pixels.

        Args:
            outputs: result of `forward`.
        """

    def take_class_counts(self, counts_C: Tensor) -> None:
        """Learn how often each class is in the training samples; called where `wants_class_counts` is true.

        Args:
            counts_C: labels of every class.
        """
        raise NotImplementedError

    def distill(self, outputs: Outputs, teacher: Outputs, temperature: float) -> Tensor | None:
        """How far the answers of each sample are from a teacher's [B]; None for a head that cannot be taught so.

        Args:
            outputs: result of `forward`.
            teacher: outputs of a trained head of this class for the same samples.
            temperature: softens classes, above 0.
        """
        return None

    def attention(self, outputs: Outputs, predictions: Predictions) -> Tensor | None:
        """What every step of a predicted sequence looked at, for pictures; None for a head that looks at no rows.

        Args:
            outputs: result of `forward`, in evaluation mode.
            predictions: what `decode` made of them.

        Returns:
            Shares [B,S,N], each row summing to 1: of S steps (a predicted text and its end) over N rows of the
            features, 0 for rows that are not real.
        """
        return None

    @abstractmethod
    def metrics(self) -> TaskMetrics:
        """A new metric set for the predictions of `decode`."""
