"""Fusion by cross-attention: the steps and cells of each input attend to the steps and cells of all.

Source: Tsai, Bai, Liang, Kolter, Morency, Salakhutdinov, "Multimodal Transformer for Unaligned Multimodal Language
Sequences", ACL 2019; here keys of all inputs stand in one row, its own included, so that one input alone works too.
Shapes: B samples, N rows, C channels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.backbones.fusion.attention import AttentionLayer
from mtl.backbones.fusion.fusion import RowFusion, Rows, pooled
from mtl.task import Inputs, InputSpec


class CrossAttentionFusion(RowFusion):
    """One attention layer for each input, whose queries are its rows and whose keys are the rows of all.

    Args:
        inputs: what the data module declares.
        encoders: a backbone for each input, by the input's name.
        width: channels of `fused` and of the attention.
        modality_dropout: chance that an input of a training sample is dropped, 0 to 1; one always stays.
        heads: heads of the attention; they divide the width.
    """

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
        heads: int = 4,
    ) -> None:
        super().__init__(inputs, encoders, width, modality_dropout)
        self.layers = nn.ModuleList(AttentionLayer(width, heads) for _ in self.names)
        self.last = nn.Linear(2 * width * len(self.names), width)

    def attend(self, rows: list[Rows]) -> Tensor:
        keys_BNC, mask_BN = (torch.cat(parts, 1) for parts in zip(*rows, strict=True))
        found = [layer(own, keys_BNC, mask_BN) for layer, (own, _) in zip(self.layers, rows, strict=True)]
        vectors = [pooled(own, mask) for own, (_, mask) in zip(found, rows, strict=True)]
        return F.relu(self.last(torch.cat(vectors, 1)))
