"""FiLM: one trunk that runs once for each task, with a factor and a shift for each channel that are the task's.

Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018, with the task as the
condition: x <- gamma_k * x + beta_k behind every stage.
Shapes: B samples, K tasks, C channels.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.stages import staged
from mtl.architectures.task_norms import TaskNorms
from mtl.backbones.backbone import Backbone, State, run_stage
from mtl.features import MASK, Features, FeatureSpec, Layout

_FIRST = "first"


class FiLM(Architecture):
    """The trunk runs once for each task, with a factor and a shift of the task's own for each channel.

    The cut is the output of the first stage; the shared stages are used behind it.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        own_norms: every batch norm that runs once a task is the task's own; a shared one would mix the statistics of
            all tasks, and be right for none in evaluation.

    Raises:
        ValueError: if the backbone is one piece.
    """

    shared_after_cut = True

    def __init__(self, backbone: Backbone, names: Sequence[str], own_norms: bool = True) -> None:
        super().__init__(backbone, names)
        self.backbone = staged(backbone, "FiLM")
        channels = self.backbone.stage_spec.channels
        for part in self.of_task.values():
            part.factors = nn.ParameterList(torch.ones(width) for width in channels.values())
            part.shifts = nn.ParameterList(torch.zeros(width) for width in channels.values())
        first = next(iter(channels))
        self.norms = TaskNorms(self.backbone, self.of_task, keep=self.backbone.stages()[0]) if own_norms else None
        self.cut_spec = FeatureSpec(
            {_FIRST: channels[first]},
            {_FIRST: self.backbone.stage_spec.strides[first]},
            {_FIRST: self.backbone.stage_spec.layouts[first]},
        )

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        start = self.backbone.begin(*(prepared[name] for name in self.backbone.inputs))
        values, mask = run_stage(self.backbone.stages()[0], start)
        return {_FIRST: values} | ({} if mask is None else {_FIRST + MASK: mask})

    def view(self, cut: Features, name: str) -> Features:
        if self.norms is not None:
            self.norms.take_turn(name)
        layouts = list(self.backbone.stage_spec.layouts.values())
        state: State = cut[_FIRST], cut.get(_FIRST + MASK)
        outputs = []
        for index, stage in enumerate(self.backbone.stages()):
            if index:
                state = run_stage(stage, state)
            state = self._modulated(state[0], name, index, layouts[index]), state[1]
            outputs.append(state)
        return self.backbone.finish(outputs)

    def _modulated(self, values: Tensor, name: str, index: int, layout: Layout) -> Tensor:
        factor_C: Tensor = self.of_task.get_parameter(f"{name}.factors.{index}")
        shift_C: Tensor = self.of_task.get_parameter(f"{name}.shifts.{index}")
        if layout == "map":
            factor_C, shift_C = factor_C[:, None, None], shift_C[:, None, None]
        return (values * factor_C + shift_C).to(values.dtype)
