"""`Backbone`: the trunk that tasks share; it declares its inputs, and width, stride and layout of every level.

Architectures that work inside a trunk (cross-stitch units, FiLM, experts) need it in stages: `StagedBackbone`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mtl.features import Features, FeatureSpec
from mtl.task import Inputs, InputSpec

State = tuple[Tensor, Tensor | None]  # values, and a mask [B,T] or [B,H,W] where some are padding


class Backbone(nn.Module, ABC):
    """Prepared inputs -> `{level: feature}`; a subclass sets `self.spec` in its `__init__`.

    The first argument of a constructor is `inputs`, what the data module declares; it says widths such as the channels
    of an image or the size of a vocabulary. `only_input(inputs, kind, who)` finds the one of a kind; where its name is
    not `image`, the constructor sets `self.inputs`, with `<name>_mask` behind it if `forward` takes the mask.
    """

    spec: FeatureSpec  # `FeatureSpec({level: channels}, layouts={level: "vector"})`; a level is a map by default
    takes_absent = False  # whether samples may lack an input, as `present/<input>` says
    pretrained = False  # its weights are trained ones, and copies of it keep them
    inputs: tuple[str, ...] = ("image",)  # names of what `forward` takes, in order; `<name>_mask` for a mask

    @property
    def title(self) -> str:
        """What it is, for messages."""
        return type(self).__name__

    @abstractmethod
    def forward(self, *inputs: Any, **_: Any) -> Features:
        """Features of every level in `spec`, and `<level>_mask` where sequences differ in length.

        Args:
            inputs: the prepared inputs that `self.inputs` names.
        """

    def run(self, prepared: Mapping[str, Tensor]) -> Features:
        """`forward` on the inputs it names.

        Args:
            prepared: what the kinds of inputs made of a batch.

        Raises:
            ValueError: if an input is not there, or the features are not what `spec` says.
        """
        for name in self.inputs:
            if name not in prepared:
                raise ValueError(
                    f"{self.title} takes {name!r}, as its `inputs` say; the data gives {', '.join(prepared)}. "
                    "Set `inputs` of the backbone to names that the data declares."
                )
        return self.spec.check(self(*(prepared[name] for name in self.inputs)), self.title)


class StagedBackbone(Backbone):
    """A backbone whose stages run one after the other; `forward` is `finish` of their outputs.

    A stage takes and gives a tensor; one that has to know the padding sets `takes_mask = True`, takes a mask too, and
    gives both. One that also takes an earlier output, as in a U-Net, sets `reads`, how many stages back; then only
    architectures that run all stages together take it. A subclass sets `self.stage_spec` beside `self.spec`.
    """

    stage_spec: FeatureSpec  # of the stages' outputs, in their order

    @abstractmethod
    def stages(self) -> Sequence[nn.Module]:
        """The stages in order; none, if this network cannot be run in stages."""

    @abstractmethod
    def finish(self, outputs: Sequence[State]) -> Features:
        """Levels from the outputs of the stages.

        Args:
            outputs: values and mask behind each stage.
        """

    def skippable(self) -> list[nn.Module]:
        """Parts that give what they take in the same shape, so that a task may skip them; in their order.

        By default the stages that do; a subclass adds blocks of its stages.
        """
        spec = self.stage_spec
        sizes = [(spec.channels[level], spec.strides[level], spec.layouts[level]) for level in spec.channels]
        return [stage for stage, a, b in zip(self.stages()[1:], sizes, sizes[1:], strict=False) if a == b]

    def begin(self, *inputs: Tensor) -> State:
        """What the first stage gets: the input and its mask.

        Args:
            inputs: the prepared inputs.
        """
        return inputs[0], inputs[1] if len(inputs) > 1 else None

    def forward(self, *inputs: Tensor) -> Features:
        return self.finish(run_stages(self.stages(), self.begin(*inputs)))


def run_stage(stage: nn.Module, state: State, before: Sequence[State] = ()) -> State:
    """One stage.

    Args:
        stage: the stage.
        state: values and mask.
        before: outputs of the stages before it, for a stage that reads one of them.
    """
    values, mask = state
    if reads := reads_back(stage):
        return stage(values, before[-reads][0]), mask
    if getattr(stage, "takes_mask", False):
        out: State = stage(values, mask)
        return out
    return stage(values), mask


def run_stages(stages: Iterable[nn.Module], state: State) -> list[State]:
    """The output of every stage.

    Args:
        stages: the stages in order.
        state: values and mask that the first one gets.
    """
    outputs: list[State] = []
    for stage in stages:
        state = run_stage(stage, state, outputs)
        outputs.append(state)
    return outputs


def reads_back(stage: nn.Module) -> int:
    """How many stages back lies the output that a stage takes beside the last one; 0 for none, as in most networks.

    Args:
        stage: the stage; it sets `reads`.
    """
    return int(getattr(stage, "reads", 0))


def only_input(inputs: Inputs, kind: str, who: str) -> InputSpec:
    """The one input of a kind.

    Args:
        inputs: what the data module declares.
        kind: the kind wanted.
        who: who asks, for the message.

    Raises:
        ValueError: if there is none, or more than one.
    """
    fitting = [spec for spec in inputs.values() if spec.kind == kind]
    if len(fitting) != 1:
        listed = ", ".join(f"{spec.name} ({spec.kind})" for spec in inputs.values()) or "none"
        raise ValueError(f"{who} takes one input of kind {kind!r}; the data has {listed}. Take another backbone.")
    return fitting[0]
