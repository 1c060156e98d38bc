"""From features of any layout to one vector for each sample; padding adds nothing.

Shapes: B samples, C channels, N cells of a map or steps of a sequence.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.features import Features, FeatureSpec, mask_of

Pooling = Literal["mean", "max", "attention", "grid"]
GRID = 3  # cells of `grid`, in height and width


class Pool(nn.Module):
    """Pool several levels to one vector, maps and sequences each in one or more ways; vectors as they are.

    Args:
        features: widths and layouts of the levels.
        levels: the levels to pool.
        ways: `mean`, `max`, `attention` (a learned score for each cell, softmax over the cells), or `grid` (means of
            3 x 3 parts of a map: for answers that depend on where something is).
        tower: channels of a 3 x 3 convolution before the pooling of each map; 0 for none.

    Raises:
        ValueError: if a tower or a grid is asked for over a level that is no map.
    """

    def __init__(self, features: FeatureSpec, levels: Sequence[str], ways: Sequence[Pooling], tower: int = 0) -> None:
        super().__init__()
        self.levels, self.ways = tuple(levels), tuple(ways)
        self.layouts = {level: features.layouts[level] for level in levels}
        if tower and (flat := [level for level in levels if self.layouts[level] != "map"]):
            raise ValueError(
                f"tower={tower} convolves maps; level {flat[0]!r} is a {self.layouts[flat[0]]}. Set it to 0."
            )
        if "grid" in self.ways and (flat := [level for level in levels if self.layouts[level] != "map"]):
            raise ValueError(
                f"pooling 'grid' is for maps; level {flat[0]!r} is a {self.layouts[flat[0]]}. Take another."
            )
        widths = {level: tower or features.channels[level] for level in levels}
        vectors = sum(GRID**2 if way == "grid" else 1 for way in self.ways)
        copies = {level: 1 if self.layouts[level] == "vector" else vectors for level in levels}
        self.width = sum(copies[level] * width for level, width in widths.items())
        self.towers = nn.ModuleDict(
            {level: conv_norm_relu(features.channels[level], tower) if tower else nn.Identity() for level in levels}
        )
        learned = [level for level in levels if "attention" in ways and self.layouts[level] != "vector"]
        self.attention = nn.ModuleDict({level: nn.Conv1d(widths[level], 1, 1) for level in learned})

    def forward(self, features: Features) -> Tensor:
        """One vector for each sample, [B, width].

        Args:
            features: values and masks of the levels.
        """
        pooled = []
        for level in self.levels:
            x = self.towers[level](features[level])
            if self.layouts[level] == "vector":
                pooled.append(x)
                continue
            cells_BCN = x.flatten(2) if self.layouts[level] == "map" else x.transpose(1, 2)
            mask = mask_of(features, level)
            mask_BN = None if mask is None else mask.flatten(1)
            pooled += [
                _parts(x, mask) if way == "grid" else self._pooled(level, way, cells_BCN, mask_BN) for way in self.ways
            ]
        return torch.cat(pooled, 1)

    def _pooled(self, level: str, way: Pooling, cells_BCN: Tensor, mask_BN: Tensor | None) -> Tensor:
        if way == "attention":
            scores_BN = self.attention[level](cells_BCN)[:, 0]
            if mask_BN is not None:
                scores_BN = scores_BN.masked_fill(~mask_BN, torch.finfo(scores_BN.dtype).min)
            attended: Tensor = (cells_BCN * scores_BN.softmax(-1)[:, None]).sum(-1)
            return attended
        if mask_BN is None:
            return cells_BCN.mean(-1) if way == "mean" else cells_BCN.amax(-1)
        mask_B1N = mask_BN[:, None]
        if way == "mean":
            return (cells_BCN * mask_B1N).sum(-1) / mask_B1N.sum(-1).clamp(min=1)
        return cells_BCN.masked_fill(~mask_B1N, torch.finfo(cells_BCN.dtype).min).amax(-1)


def _parts(x_BCHW: Tensor, mask_BHW: Tensor | None) -> Tensor:
    """Means of the parts of a map, one after the other."""
    if mask_BHW is None:
        return F.adaptive_avg_pool2d(x_BCHW, GRID).flatten(1)
    mask_B1HW = mask_BHW[:, None].to(x_BCHW.dtype)
    share = F.adaptive_avg_pool2d(mask_B1HW, GRID).clamp(min=torch.finfo(x_BCHW.dtype).tiny)
    return (F.adaptive_avg_pool2d(x_BCHW * mask_B1HW, GRID) / share).flatten(1)


def conv_norm_relu(before: int, after: int) -> nn.Sequential:
    """A 3 x 3 convolution with batch norm and ReLU.

    Args:
        before: channels that come in.
        after: channels that go out.
    """
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


def mlp(width: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    """One hidden layer with ReLU and dropout, or a single linear layer.

    Args:
        width: inputs.
        hidden: hidden units; 0 for none.
        out: outputs.
        dropout: share of hidden units dropped in training.
    """
    if not hidden:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, out))
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, out))
