"""`UPerDecoder`: pools the coarsest level over several grids, then merges the levels top-down.

Source: Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018, arXiv:1807.10221; the pooling is
PSPNet's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.features import Features, FeatureSpec
from mtl.heads.decoders.decoder import Decoder, conv_norm, resize_to


class UPerDecoder(Decoder):
    """Pyramid pooling and a feature pyramid, joined at the finest level.

    Args:
        features: widths and strides of the features.
        who: name of the head, for error messages.
        levels: maps to use; the pyramid by default.
        width: channels of the map.
        grids: sides of the grids that the coarsest level is pooled to.
    """

    def __init__(
        self,
        features: FeatureSpec,
        who: str,
        levels: Sequence[str] | None = None,
        width: int = 64,
        grids: Sequence[int] = (1, 2, 3, 6),
    ) -> None:
        super().__init__(features, who, levels, width)
        *fine, coarsest = self.levels
        before = features.channels[coarsest]
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(grid), nn.Conv2d(before, width, 1), nn.ReLU()) for grid in grids
        )
        self.bottom = conv_norm(before + len(grids) * width, width)
        self.lateral = nn.ModuleDict({level: conv_norm(features.channels[level], width, kernel=1) for level in fine})
        self.smooth = nn.ModuleDict({level: conv_norm(width, width) for level in fine})
        self.join = conv_norm(len(self.levels) * width, width)

    def forward(self, features: Features) -> Tensor:
        *fine, coarsest = self.levels
        x = features[coarsest]
        merged = self.bottom(torch.cat([x, *(resize_to(pool(x), x) for pool in self.pools)], 1))
        maps = [merged]
        for level in reversed(fine):
            lateral = self.lateral[level](features[level])
            merged = lateral + resize_to(merged, lateral)
            maps.append(self.smooth[level](merged))
        joined: Tensor = self.join(torch.cat([resize_to(one, maps[-1]) for one in maps], 1))
        return joined
