"""NDDR-CNN: a column for each task; behind every stage each takes a linear layer over the channels of all columns.

Source: Gao et al., "NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural Discriminative Dimensionality
Reduction", CVPR 2019, arXiv:1801.08297: x_i <- BN(W_i [x_1 .. x_K]) with a 1 x 1 convolution W_i that starts as `own`
times the identity on its own column and spreads the rest over the others. On sequences and vectors W_i is a linear
layer and the norm a layer norm.
Shapes: K tasks, S stages, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.parts.columns import Columns
from mtl.architectures.parts.stages import norm, pointwise
from mtl.backbones.backbone import Backbone
from mtl.features import Layout


class NDDR(Columns):
    """A column for each task; each reads all columns behind every stage.

    Columns are copies of the backbone; the cut is the levels of each, which one task alone reads.

    Args:
        backbone: the trunk, in stages; the column of the first task.
        names: names of the tasks.
        own: share of a task's own column at the start; the rest is spread over the others.

    Raises:
        ValueError: for a share out of range, or a backbone that is one piece.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], own: float = 0.9) -> None:
        super().__init__(backbone, names)
        if not 0 <= own <= 1:
            raise ValueError(f"NDDR: own={own} is a share and must lie within 0..1.")
        spec, number = self.trunk.stage_spec, len(names)
        self.units = nn.ModuleList(
            nn.ModuleList(_Unit(spec.layouts[level], width, number, index, own) for index in range(number))
            for level, width in spec.channels.items()
        )

    def mix(self, values: Sequence[Tensor], stage: int) -> list[Tensor]:
        layout = list(self.trunk.stage_spec.layouts.values())[stage]
        together = torch.cat(list(values), 1 if layout == "map" else -1)
        return [self.units.get_submodule(f"{stage}.{index}")(together) for index in range(len(values))]


class _Unit(nn.Module):
    def __init__(self, layout: Layout, width: int, number: int, index: int, own: float) -> None:
        super().__init__()
        self.reduce = pointwise(layout, number * width, width, bias=False)
        self.norm = norm(layout, width)
        weight = self.reduce.weight
        assert isinstance(weight, Tensor)
        # a single task has nothing to mix
        shares = torch.full((number,), (1 - own) / max(1, number - 1))
        shares[index] = own if number > 1 else 1.0
        start = torch.cat([share * torch.eye(width) for share in shares], 1)
        weight.data.copy_(start.view_as(weight))

    def forward(self, together: Tensor) -> Tensor:
        out: Tensor = self.norm(self.reduce(together))
        return out
