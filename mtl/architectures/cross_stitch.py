"""Cross-stitch networks: a column for each task, mixed linearly behind every stage.

Source: Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016, arXiv:1604.03539: x_i <- sum_j a_ij
x_j, with a_ii = 0.9 and the rest 0.1 at the start. LibMTL starts from ones, which multiplies the features by K at each
stage.
Shapes: K tasks, S stages, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.architectures.parts.columns import Columns, mixed
from mtl.backbones.backbone import Backbone


class CrossStitch(Columns):
    """A column for each task, mixed with the others behind every stage.

    Columns are copies of the backbone; the cut is the levels of each, which one task alone reads.

    Args:
        backbone: the trunk, in stages; the column of the first task.
        names: names of the tasks.
        own: share of a task's own column in its next input, at the start; the rest is spread over the others.
        by_channel: every channel has shares of its own, as in the paper's larger units.

    Raises:
        ValueError: for a share out of range, or a backbone that is one piece.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], own: float = 0.9, by_channel: bool = False) -> None:
        super().__init__(backbone, names)
        if not 0 <= own <= 1:
            raise ValueError(f"CrossStitch: own={own} is a share and must lie within 0..1.")
        number, widths = len(names), self.trunk.stage_spec.channels.values()
        # a single task has nothing to mix
        start = torch.full((number, number), (1 - own) / max(1, number - 1)).fill_diagonal_(own if number > 1 else 1.0)
        sizes = widths if by_channel else [1] * len(widths)
        self.units = nn.ParameterList(start[..., None].repeat(1, 1, size) for size in sizes)

    def mix(self, values: Sequence[Tensor], stage: int) -> list[Tensor]:
        layout = list(self.trunk.stage_spec.layouts.values())[stage]
        unit_KKC = self.units[stage]
        if unit_KKC.shape[-1] == 1:
            return mixed(values, unit_KKC[..., 0], layout)
        channels = 1 if layout == "map" else -1
        together = torch.stack([value.movedim(channels, -1) for value in values])
        out = torch.einsum("ijc,j...c->i...c", unit_KKC.to(together.dtype), together)
        return [value.movedim(-1, channels) for value in out]
