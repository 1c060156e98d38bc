"""Task-specific norms: one trunk that runs once for each task, of which only the norms are the task's own.

Source: "Task-specific batch normalization", arXiv:2512.20420: every task has gamma_k, beta_k and statistics of its own;
in the form with a sigmoid, x <- sigmoid(gamma_k) * norm_k(x) + beta_k, so that a task closes channels. Layer and group
norms are taken in the same way, so that it works on transformers.
Shapes: K tasks, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.architectures.parts.pass_per_task import PassPerTask
from mtl.architectures.parts.task_norms import TaskNorms
from mtl.backbones.backbone import Backbone, State

_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
_OPEN = 2.0  # sigmoid(2) = 0.88: the trunk begins nearly as it was


class TaskSpecificNorm(PassPerTask):
    """The trunk runs once for each task, with norms of the task's own.

    Args:
        backbone: the trunk, in stages.
        names: names of the tasks.
        sigmoid: the factors are sigmoids of what is learned.
        shared_stages: the first stages, which run once for all tasks.

    Raises:
        ValueError: if the backbone is one piece, or there is no norm behind its first stages.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], sigmoid: bool = False, shared_stages: int = 1) -> None:
        super().__init__(backbone, names, shared_stages, own_norms=False)
        kept = self.backbone.stages()[:shared_stages]
        norms = TaskNorms(self.backbone, self.of_task, kept, _NORMS, *([_Gated] if sigmoid else []))
        if not norms.number:
            raise ValueError(
                f"TaskSpecificNorm gives every task norms of its own, and {type(backbone).__name__} has none behind "
                f"its first {shared_stages} stages. Take FiLM, which works on any stage, or a backbone with norms."
            )
        self.norms = norms

    def change(self, state: State, name: str, stage: int) -> State:
        return state


class _Gated(nn.Module):
    """A norm without factors, with sigmoids as factors."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.last = isinstance(norm, nn.LayerNorm)
        if isinstance(norm, nn.LayerNorm):
            channels = norm.normalized_shape[-1]
            self.norm: nn.Module = nn.LayerNorm(channels, norm.eps, elementwise_affine=False)
        elif isinstance(norm, nn.GroupNorm):
            channels = norm.num_channels
            self.norm = nn.GroupNorm(norm.num_groups, channels, norm.eps, affine=False)
        else:
            assert isinstance(norm, _BatchNorm)
            channels = norm.num_features
            self.norm = type(norm)(channels, norm.eps, norm.momentum, affine=False)
        self.gate = nn.Parameter(torch.full((channels,), _OPEN))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        shape = [-1] if self.last else [-1, *[1] * (x.ndim - 2)]
        out: Tensor = self.norm(x) * self.gate.sigmoid().view(shape) + self.shift.view(shape)
        return out.to(x.dtype)
