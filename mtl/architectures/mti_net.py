"""MTI-Net: PAD-Net's exchange at every scale, and what tasks find at one scale is carried on to the next finer one.

Source: Vandenhende, Georgoulis, Van Gool, "MTI-Net: Multi-Scale Task Interaction Networks for Multi-Task Learning",
ECCV 2020, arXiv:2001.06902: from the coarsest scale on, every task has features of the trunk and of the scale before,
first predictions are made of them, and a feature propagation module joins the tasks: attention over the tasks for each
channel and cell, a reduction to the width of one task, squeeze-and-excitation for each task, and a residual; then
PAD-Net's distillation works within each scale. The authors' code reads its K * C channels, which stand task by task, as
[C,K], so that its attention runs over neighbouring channels of one task; here it runs over tasks. Layers are smaller:
one convolution or bottleneck where the paper has two residual blocks. Scales are joined by the head, not here.
Shapes: B samples, K tasks, C channels, H x W cells.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.architectures.pad_net import PADNet
from mtl.architectures.parts.squeeze import Squeeze
from mtl.architectures.parts.stages import norm
from mtl.architectures.parts.task_features import TaskFeatures, block, masks
from mtl.backbones.backbone import Backbone
from mtl.features import Features, mask_of


class MTINet(PADNet):
    """First predictions and exchange between tasks at every scale, from coarse to fine.

    The cut is the features of all tasks at all scales, of which each task reads all.

    Args:
        backbone: the trunk; it gives maps of at least two strides.
        names: names of the tasks.
        first_weight: weight of the losses of the first predictions; 0 for none.
        reduction: how many times narrower the layer inside of a propagation is than the features of all tasks.

    Raises:
        ValueError: for a number out of range, or if the backbone has maps of one stride only.
    """

    def __init__(self, backbone: Backbone, names: Sequence[str], first_weight: float = 1.0, reduction: int = 4) -> None:
        super().__init__(backbone, names, first_weight)
        if reduction < 1:
            raise ValueError(f"MTINet: reduction={reduction} must be at least 1.")
        strides, widths = self.spec.strides, self.spec.channels
        self.scales = sorted(self.spec.of("map"), key=lambda level: -strides[level])
        if len({strides[level] for level in self.scales}) < 2:
            raise ValueError(
                f"MTINet carries features from coarse maps to finer ones, and {backbone.title} gives "
                f"{len(self.scales)} of one stride. Take PADNet, or a backbone with maps of several strides, such as "
                "ResidualFPN."
            )
        more = {fine: widths[coarse] for coarse, fine in zip(self.scales, self.scales[1:], strict=False)}
        self.features = TaskFeatures(self.spec, names, more)
        self.propagate = nn.ModuleDict(
            {f"{level}_": Propagation(names, widths[level], reduction) for level in self.scales[:-1]}
        )

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        shared = self.backbone.run(prepared)
        cut = masks(shared)
        coarse: dict[str, Tensor] = {}
        for level in [*self.scales, *(level for level in self.spec.channels if level not in self.scales)]:
            values, found = shared[level], {}
            for name in self.others:
                read = values
                if coarse and level in self.scales:
                    finer = F.interpolate(coarse[name], size=values.shape[-2:], mode="bilinear", align_corners=False)
                    read = torch.cat((values, finer), 1)
                found[name] = self.features.level(read, name, level)
            if level in self.scales[:-1]:
                coarse = self.propagate[f"{level}_"](found, mask_of(shared, level))
            cut |= {f"{name}/{level}": value for name, value in found.items()}
        return cut


class Propagation(nn.Module):
    """Features of each task, to which the features of all tasks were added.

    Args:
        names: names of the tasks.
        width: channels C of a task.
        reduction: how many times narrower than the features of all tasks the layer inside is.
    """

    def __init__(self, names: Sequence[str], width: int, reduction: int) -> None:
        super().__init__()
        everything = len(names) * width
        hidden = max(1, everything // reduction)
        self.attention = nn.Sequential(
            nn.Conv2d(everything, hidden, 1), block("map", hidden, hidden), nn.Conv2d(hidden, everything, 1)
        )
        self.reduce = nn.Sequential(nn.Conv2d(everything, width, 1), norm("map", width), nn.ReLU())
        self.squeezes = nn.ModuleDict({f"{name}_": Squeeze(width, 16) for name in names})

    def forward(self, of_tasks: Mapping[str, Tensor], mask_BHW: Tensor | None) -> dict[str, Tensor]:
        """What each task carries on.

        Args:
            of_tasks: features of each task, [B,C,H,W].
            mask_BHW: which cells are real; all where it is None.
        """
        together = torch.cat(list(of_tasks.values()), 1)
        share_BKCHW = self.attention(together).unflatten(1, (len(of_tasks), -1)).softmax(1)
        joined = self.reduce(share_BKCHW.flatten(1, 2) * together)
        return {name: values + self.squeezes[f"{name}_"](joined, mask_BHW, "map") for name, values in of_tasks.items()}
