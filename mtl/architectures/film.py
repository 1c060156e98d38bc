"""FiLM: one trunk that runs once for each task, with a factor and a shift for each channel that are the task's.

Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018, with the task as the
condition: x <- gamma_k * x + beta_k behind every stage. With `squeeze` also x <- x * sigmoid(W2 relu(W1 mean(x))) with
matrices of the task: the squeeze-and-excitation of Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR
2019, arXiv:1904.08918; its adversarial loss is left out.
Shapes: B samples, K tasks, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.parts.pass_per_task import PassPerTask
from mtl.architectures.parts.squeeze import Squeeze
from mtl.architectures.parts.stages import by_channel
from mtl.backbones.backbone import Backbone, State


class FiLM(PassPerTask):
    """The trunk runs once for each task, with a factor and a shift of the task's own for each channel.

    The cut is the output of the first stage; the shared stages are used behind it.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        own_norms: every batch norm that runs once a task is the task's own; a shared one would mix the statistics of
            all tasks, and be right for none in evaluation.
        squeeze: with a number above 0, each task also weighs the channels of every sample by squeeze-and-excitation,
            whose hidden layer is so many times smaller. The paper of ASTMT builds on networks with 16.
        shared_stages: the first stages, which run once for all tasks.

    Raises:
        ValueError: if the backbone is one piece, or `squeeze` is below 0.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        own_norms: bool = True,
        squeeze: int = 0,
        shared_stages: int = 1,
    ) -> None:
        super().__init__(backbone, names, shared_stages, own_norms)
        if squeeze < 0:
            raise ValueError(f"FiLM: squeeze={squeeze} must be 0, for none, or a factor above 0.")
        self.squeeze = squeeze
        for part in self.of_task.values():
            part.factors = nn.ParameterList(torch.ones(width) for width in self.widths())
            part.shifts = nn.ParameterList(torch.zeros(width) for width in self.widths())
            if squeeze:
                part.squeezes = nn.ModuleList(Squeeze(width, squeeze) for width in self.widths())

    def change(self, state: State, name: str, stage: int) -> State:
        (values, mask), layout, index = state, self.layout(stage), stage - self.shared_stages + 1
        factor_C: Tensor = self.of_task.get_parameter(f"{name}.factors.{index}")
        shift_C: Tensor = self.of_task.get_parameter(f"{name}.shifts.{index}")
        out = (values * by_channel(factor_C, layout) + by_channel(shift_C, layout)).to(values.dtype)
        if self.squeeze:
            out = self.of_task.get_submodule(f"{name}.squeezes.{index}")(out, mask, layout)
        return out, mask
