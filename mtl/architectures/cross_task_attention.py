"""Cross-task attention: cells of all tasks attend to each other at the deepest level; InvPT in small.

Source: Ye, Xu, "Inverted Pyramid Multi-task Transformer for Dense Scene Understanding", ECCV 2022, arXiv:2203.07997:
the tokens of all tasks are concatenated and attend jointly, with keys and values of fewer cells, after a first
prediction of every task. In small: one scale instead of three, whose result is added to the finer levels.
Shapes: B samples, K tasks, N cells of a task, D width of the attention.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.architectures.parts.first_predictions import FirstPredictions
from mtl.architectures.parts.stages import by_channel, join, pointwise, spec_of
from mtl.architectures.parts.task_features import TaskFeatures, masks
from mtl.architectures.parts.whole_view import whole
from mtl.backbones.backbone import Backbone
from mtl.features import Features, Layout, as_rows, mask_of


class CrossTaskAttention(FirstPredictions):
    """First predictions of every task, then joint self-attention over the cells of all tasks.

    Every task reaches all of it, so gradients are balanced at the parameters; the cut is the features of each task.

    Args:
        backbone: the trunk.
        names: names of the tasks.
        width: width D of the attention.
        heads: number of attention heads, which divides `width`.
        blocks: blocks of attention and a layer behind it.
        key_stride: maps are pooled by so much for keys and values.
        first_weight: weight of the losses of the first predictions; 0 for none.

    Raises:
        ValueError: for a number below 1, or heads that do not divide the width.
    """

    def __init__(
        self,
        backbone: Backbone,
        names: Sequence[str],
        width: int = 64,
        heads: int = 4,
        blocks: int = 1,
        key_stride: int = 2,
        first_weight: float = 1.0,
    ) -> None:
        super().__init__(backbone, names, first_weight)
        if min(width, heads, blocks, key_stride) < 1 or width % heads:
            raise ValueError(
                f"CrossTaskAttention: width={width}, heads={heads}, blocks={blocks}, key_stride={key_stride} must be "
                "at least 1, and heads must divide width."
            )
        self.backbone, self.places = backbone, list(names)
        self.features = TaskFeatures(self.spec, names)
        self.level = self.spec.deepest
        self.layout = self.spec.layouts[self.level]
        self.read = nn.Linear(self.spec.channels[self.level], width)
        self.of = nn.Parameter(0.02 * torch.randn(len(names), 1, width))  # tells the tasks apart
        self.blocks = nn.ModuleList(_Block(width, heads, key_stride) for _ in range(blocks))
        self.write = nn.ModuleDict(
            {f"{level}_": pointwise("sequence", width, channels) for level, channels in self.spec.channels.items()}
        )
        self.cut_spec = join(
            *(
                spec_of({f"{kind}{name}/{level}": level for level in self.spec.channels}, self.spec)
                for kind in ("", "first:")
                for name in names
            )
        )

    def cut(self, prepared: Mapping[str, Tensor]) -> Features:
        shared = self.backbone.run(prepared)
        features = {name: self.features(shared, name) for name in self.places}
        mask = mask_of(shared, self.level)
        rows_BND = [self.read(as_rows(features[name][self.level], self.layout)) for name in self.places]
        tokens_BKND = torch.stack(rows_BND, 1) + self.of
        grid = features[self.places[0]][self.level].shape[-2:] if self.layout == "map" else None
        for block in self.blocks:
            tokens_BKND = block(tokens_BKND, grid, mask if self.layout == "sequence" else None)
        cut = masks(shared)
        for index, name in enumerate(self.places):
            for level, value in features[name].items():
                added_BNC = self.write[f"{level}_"](tokens_BKND[:, index])
                out = value + spread(added_BNC, grid, self.layout, value, self.spec.layouts[level])
                cut |= {f"{name}/{level}": out, f"first:{name}/{level}": value}
        return cut

    def initial(self, cut: Features, name: str) -> Features:
        return {level: cut[f"first:{name}/{level}"] for level in self.spec.channels} | masks(cut)

    def view(self, cut: Features, name: str) -> Features:
        return whole({level: cut[f"{name}/{level}"] for level in self.spec.channels} | masks(cut))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, key_stride: int) -> None:
        super().__init__()
        self.heads, self.key_stride = heads, key_stride
        self.before, self.behind = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value, self.out = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.layer = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens_BKND: Tensor, grid: Sequence[int] | None, mask_BN: Tensor | None) -> Tensor:
        normed = self.before(tokens_BKND)
        keys = normed
        if grid is not None and self.key_stride > 1:
            maps = normed.flatten(0, 1).transpose(1, 2).unflatten(2, tuple(grid))
            pooled = F.avg_pool2d(maps, self.key_stride, ceil_mode=True)
            keys = pooled.flatten(2).transpose(1, 2).unflatten(0, normed.shape[:2])
        query = self._split(self.query(normed.flatten(1, 2)))
        key, value = (self._split(part) for part in self.key_value(keys.flatten(1, 2)).chunk(2, -1))
        there = None if mask_BN is None else mask_BN.repeat(1, normed.shape[1])[:, None, None]
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=there)
        tokens_BKND = tokens_BKND + self.out(found.transpose(1, 2).flatten(2)).unflatten(1, normed.shape[1:3])
        out: Tensor = tokens_BKND + self.layer(self.behind(tokens_BKND))
        return out

    def _split(self, rows_BMD: Tensor) -> Tensor:
        heads: Tensor = rows_BMD.unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2)


def spread(rows_BNC: Tensor, grid: Sequence[int] | None, layout: Layout, like: Tensor, like_layout: Layout) -> Tensor:
    """Rows of one level in the shape of another: the nearest cell, or the mean where their layouts differ.

    Args:
        rows_BNC: the rows.
        grid: height and width of their map, if they come from one.
        layout: their layout.
        like: values of the other level.
        like_layout: its layout.
    """
    if layout == like_layout == "map" and grid is not None:
        maps = rows_BNC.transpose(1, 2).unflatten(2, tuple(grid))
        return F.interpolate(maps, size=like.shape[-2:], mode="nearest")
    if layout == like_layout == "sequence" and rows_BNC.shape[1] == like.shape[1]:
        return rows_BNC
    mean_BC = rows_BNC.mean(1)
    return mean_BC if like_layout == "vector" else by_channel(mean_BC, like_layout)
