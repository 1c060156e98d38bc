"""`MLPDecoder`: every level to one width by a linear layer, joined at the finest level; light, for transformer trunks.

Source: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021,
arXiv:2105.15203, section 3.2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.features import Features, FeatureSpec
from mtl.heads.decoders.decoder import Decoder, conv_norm, resize_to


class MLPDecoder(Decoder):
    """Linear layer for each level, upsampling, and one linear layer over all of them.

    Args:
        features: widths and strides of the features.
        who: name of the head, for error messages.
        levels: maps to use; the pyramid by default.
        width: channels of the map.
    """

    def __init__(self, features: FeatureSpec, who: str, levels: Sequence[str] | None = None, width: int = 64) -> None:
        super().__init__(features, who, levels, width)
        self.linear = nn.ModuleDict({level: nn.Conv2d(features.channels[level], width, 1) for level in self.levels})
        self.join = conv_norm(len(self.levels) * width, width, kernel=1)

    def forward(self, features: Features) -> Tensor:
        finest = features[self.levels[0]]
        maps = [resize_to(self.linear[level](features[level]), finest) for level in self.levels]
        joined: Tensor = self.join(torch.cat(maps, 1))
        return joined
