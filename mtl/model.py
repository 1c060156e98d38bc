"""`MultiTaskModel`: inputs > backbone > architecture > heads. A plain module, which runs and is exported as it is.

Shapes: B samples.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.parts.first_predictions import FIRST, FirstPredictions
from mtl.backbones.backbone import Backbone
from mtl.balancing.engine.junction import Junction
from mtl.balancing.engine.partition import Partition, partition
from mtl.batch import PRESENT, Batch, check_keys
from mtl.features import Features, zero_padding
from mtl.heads.head import Head, Outputs
from mtl.inputs.image import ImageInput
from mtl.inputs.input import Input, input_kind
from mtl.metrics.task_metrics import Predictions
from mtl.task import IMAGE


class AddedLoss(Protocol):
    """Something that a task learns beside its labels: a scalar, a sum over samples divided by a global count."""

    def __call__(self, model: "MultiTaskModel", name: str, outputs: Outputs, batch: Batch) -> Tensor:
        """The loss.

        Args:
            model: the model in training.
            name: the task.
            outputs: of its head.
            batch: the batch.
        """


class MultiTaskModel(nn.Module):
    """One trunk in an architecture, and one head for each task.

    Args:
        trunk: an architecture, or a backbone that all heads share.
        heads: the heads by task name.
        inputs: what prepares each input, by its name; one image of three channels by default.

    Raises:
        ValueError: without any head, if a head stands under another name than its task's, or if the backbone asks for
            an input that is not there.
    """

    def __init__(
        self, trunk: Architecture | Backbone, heads: Mapping[str, Head], inputs: Mapping[str, Input] | None = None
    ) -> None:
        super().__init__()
        if not heads:
            raise ValueError("a model needs at least one head; give `heads` one entry for each task to learn.")
        for name, head in heads.items():
            if head.task.name != name:
                raise ValueError(f"head {name!r} was built for task {head.task.name!r}; give it that name.")
            monitor = getattr(head, "monitor", None)
            if not isinstance(monitor, tuple) or len(monitor) != 2 or monitor[1] not in ("max", "min"):
                raise ValueError(
                    f"{type(head).__name__} has monitor = {monitor!r}; expected a metric's name and 'max' or 'min'."
                )
        for name, ready in (inputs or {}).items():
            if ready.spec.name != name:
                raise ValueError(f"input {ready.spec.name!r} stands under the key {name!r}; give it that name.")
        specs = {name: ready.spec for name, ready in inputs.items()} if inputs else IMAGE
        check_keys({name: head.task for name, head in heads.items()}, specs)
        self.inputs = nn.ModuleDict(inputs or {name: input_kind(spec)(spec) for name, spec in IMAGE.items()})
        self.trunk = trunk if isinstance(trunk, Architecture) else HardSharing(trunk, list(heads))
        self.heads = nn.ModuleDict(heads)
        absent = [name for name, part in self.inputs.items() if part.spec.optional]  # type: ignore[union-attr]
        if absent and not any(isinstance(part, Backbone) and part.takes_absent for part in self.trunk.modules()):
            raise ValueError(
                f"samples may lack the input {absent[0]!r}, and the backbone does not know what to do without it. Take "
                "a fusion of several inputs (mtl/backbones/fusion), or data in which every sample has it."
            )
        if isinstance(self.trunk, FirstPredictions):
            self.trunk.take_heads(heads)
        for name, parameter in self.named_parameters():
            if parameter.numel() == 0:
                part = ".".join(name.removeprefix("trunk.").split(".")[: 2 if name.startswith("heads.") else 1])
                raise ValueError(
                    f"{name} has no elements: its shape is {list(parameter.shape)}. Set the widths of model.{part} to "
                    "at least 1."
                )
        self.junction = Junction()
        self.added_losses: dict[str, AddedLoss] = {}  # of a task, in training; set by callbacks
        self.set_memory_format(self.channels_last)

    @property
    def channels_last(self) -> bool:
        """Whether filters lie channels-last in memory: some input wants it, and no layer crashes with it."""
        wanted = any(isinstance(i, ImageInput) and i.channels_last for i in self.inputs.values())
        return wanted and not any(_crashes_channels_last(part) for part in self.modules())

    def set_memory_format(self, channels_last: bool) -> None:
        """Lay out filters in memory, and images with them; tensors that are not 4-D stay as they are.

        Args:
            channels_last: whether channels come last.
        """
        layout = torch.channels_last if channels_last else torch.contiguous_format
        for parameter in self.parameters():
            if parameter.ndim == 4:
                # `contiguous` would leave the strides of 1 x 1 filters, and DDP warns of their gradients
                parameter.data = parameter.data.to(memory_format=layout)
        for prepare in self.inputs.values():
            if isinstance(prepare, ImageInput):
                prepare.channels_last = channels_last

    def forward(self, batch: Batch | Tensor) -> dict[str, Outputs]:
        """Raw outputs of every head.

        Args:
            batch: the inputs by name, as `mtl.batch.collate` makes them; or the tensor of the only input.
        """
        # a junction may leave heads out of a training step
        views = self.junction(self.cut(batch), list(self.heads))
        outputs = {}
        for name, view in views.items():
            if self.trunk.shared_after_cut:
                _apart()
            outputs[name] = self.outputs(name, view)
        return outputs

    def cut(self, batch: Batch | Tensor) -> Features:
        """What the tasks share: the tensors that pass on to own computation.

        Args:
            batch: as `forward` takes it.
        """
        if isinstance(batch, Tensor):
            (name,) = self.inputs
            batch = {name: batch}
        prepared: dict[str, Tensor] = {}
        for prepare in self.inputs.values():
            prepared |= prepare(batch)
        prepared |= {key: value for key, value in batch.items() if key.startswith(PRESENT)}
        return self.trunk.cut(prepared)

    def outputs(self, name: str, cut: Features) -> Outputs:
        """Raw outputs of one head; in training also of its first prediction, where the architecture has one.

        Args:
            name: the task.
            cut: the tensors of the cut, as this task sees them.
        """
        view = zero_padding(self.trunk.view(cut, name), self.trunk.spec)
        outputs: Outputs = self.heads[name](view)
        if self.training and isinstance(self.trunk, FirstPredictions) and self.trunk.first_weight:
            initial = zero_padding(self.trunk.initial(cut, name), self.trunk.spec)
            outputs = outputs | {FIRST + key: value for key, value in self._first(name)(initial).items()}
        return outputs

    def partition(self) -> Partition:
        """The parameters by owner: a head and what the architecture gives its task, and what all tasks share."""
        own = {name: [*head.parameters(), *self.trunk.of_task[name].parameters()] for name, head in self.heads.items()}
        of_one = {id(parameter) for parameters in own.values() for parameter in parameters}
        # what the trunk or another part uses beside its task's modules is found again under its own name, and shared
        places = self.named_parameters(remove_duplicate=False)
        shared = [p for name, p in places if not name.startswith(("heads.", "trunk.of_task.")) or id(p) not in of_one]
        return partition(shared, own)

    def head(self, name: str) -> Head:
        """The head of one task.

        Args:
            name: the task's name.
        """
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def losses(self, outputs: Mapping[str, Outputs], batch: Batch) -> dict[str, Tensor]:
        """One scalar loss for each task.

        Args:
            outputs: what `forward` returned.
            batch: the batch it was computed from.
        """
        return {name: self.loss(name, out, batch) for name, out in outputs.items()}

    def loss(self, name: str, outputs: Outputs, batch: Batch) -> Tensor:
        """The loss of one task: of its head, and of its first prediction where there is one.

        Args:
            name: the task.
            outputs: what `outputs` returned.
            batch: the batch it was computed from.
        """
        first = {key.removeprefix(FIRST): value for key, value in outputs.items() if key.startswith(FIRST)}
        loss = self.head(name).loss({key: value for key, value in outputs.items() if not key.startswith(FIRST)}, batch)
        if loss.ndim:
            raise ValueError(
                f"{type(self.head(name)).__name__} gives task {name!r} a loss of shape {list(loss.shape)}; expected a "
                "scalar, the mean over the labelled samples. `masked_mean` in mtl/distributed/normaliser.py gives it."
            )
        if self.training and name in self.added_losses:
            loss = loss + self.added_losses[name](self, name, outputs, batch)
        if first:
            assert isinstance(self.trunk, FirstPredictions)
            loss = loss + self.trunk.first_weight * self._first(name).loss(first, batch)
        return loss

    def _first(self, name: str) -> Head:
        first = self.trunk.of_task[name].get_submodule("first")
        assert isinstance(first, Head)
        return first

    def decode(self, outputs: Mapping[str, Outputs]) -> dict[str, Predictions]:
        """Predictions of every task, in pixels of the network's input.

        Args:
            outputs: what `forward` returned.
        """
        return {name: self.head(name).decode(out) for name, out in outputs.items()}

    @torch.inference_mode()
    def predict(self, batch: Batch | Tensor) -> dict[str, Predictions]:
        """`forward` and `decode` without gradients.

        Args:
            batch: as `forward` takes it.
        """
        return self.decode(self(batch))


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _apart() -> None:
    """End a compiled graph: each task has one of its own, since its loss may be differentiated by itself."""


def _crashes_channels_last(part: nn.Module) -> bool:
    """Whether backward writes over foreign memory on a CPU: in torch 2.14 strided 1 x 1 filters of few channels do.

    Seen with 2 to 15 input channels on maps above 32 x 32, with any stride and number of outputs; never channels-first.
    """
    if not isinstance(part, nn.Conv2d) or part.groups > 1 or not 1 < part.in_channels < 16:
        return False
    return tuple(part.kernel_size) == (1, 1) and tuple(part.stride) != (1, 1)
