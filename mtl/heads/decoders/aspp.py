"""`ASPPDecoder`: atrous spatial pyramid pooling, several dilations side by side on the deepest level.

Source: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (DeepLabv3), arXiv:1706.05587.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.features import Features, FeatureSpec
from mtl.heads.decoders.decoder import Decoder, conv_norm


class ASPPDecoder(Decoder):
    """A 1 x 1 filter, dilated filters, and the mean of the picture, joined; for trunks whose deepest stride is 8.

    A rate above the side of the map leaves only the middle tap of its filter: take smaller rates on small maps.

    Args:
        features: widths and strides of the features.
        who: name of the head, for error messages.
        levels: one map, which is used; the coarsest of the pyramid by default.
        width: channels of the map.
        rates: dilations; the paper's are for stride 8.
        dropout: share of channels dropped before the last layer, in training.

    Raises:
        ValueError: for more than one level.
    """

    def __init__(
        self,
        features: FeatureSpec,
        who: str,
        levels: Sequence[str] | None = None,
        width: int = 64,
        rates: Sequence[int] = (12, 24, 36),
        dropout: float = 0.5,
    ) -> None:
        super().__init__(features, who, levels or features.pyramid(who)[-1:], width)
        if len(self.levels) != 1:
            raise ValueError(f"{who}: ASPPDecoder works on one level; got {', '.join(self.levels)}. Name one.")
        before = features.channels[self.levels[0]]
        dilated = [conv_norm(before, width, dilation=rate) for rate in rates]
        self.branches = nn.ModuleList([conv_norm(before, width, kernel=1), *dilated])
        # no batch norm: it has no variance over one value of one picture
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(before, width, 1), nn.ReLU())
        self.join = nn.Sequential(conv_norm((len(rates) + 2) * width, width, kernel=1), nn.Dropout2d(dropout))

    def forward(self, features: Features) -> Tensor:
        x = features[self.levels[0]]
        whole = self.whole(x).expand(-1, -1, *x.shape[-2:])
        joined: Tensor = self.join(torch.cat([*(branch(x) for branch in self.branches), whole], 1))
        return joined
