"""Scaled sharing: one trunk, and a factor of each task for each channel of its last level."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone
from mtl.features import Features


class Scaled(Architecture):
    """All tasks read one trunk, each through a factor for each channel.

    Args:
        backbone: the trunk.
        names: names of the tasks.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str]) -> None:
        super().__init__(backbone, names)
        self.backbone = backbone
        for part in self.of_task.values():
            part.factors = nn.ParameterDict({level: torch.ones(n) for level, n in self.spec.channels.items()})

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        return self.backbone.run(prepared)

    def view(self, cut: Features, name: str) -> Features:
        out = dict(cut)
        for level, layout in self.spec.layouts.items():
            factor_C = self.of_task.get_parameter(f"{name}.factors.{level}").to(cut[level].dtype)
            out[level] = cut[level] * (factor_C[:, None, None] if layout == "map" else factor_C)
        return whole(out)  # DDP waits for the factors of a level that no head reads
