"""`FPNDecoder`: every level gets one convolution, and all are added up at the finest level.

Source: Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, arXiv:1901.02446, with one convolution for each
level in place of one for each factor 2.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from mtl.features import Features, FeatureSpec
from mtl.heads.decoders.decoder import Decoder, conv_norm, resize_to


class FPNDecoder(Decoder):
    """Convolution, upsampling, sum.

    Args:
        features: widths and strides of the features.
        who: name of the head, for error messages.
        levels: maps to use; the pyramid by default.
        width: channels of the map.
        depth: further convolutions after the sum.
    """

    def __init__(
        self, features: FeatureSpec, who: str, levels: Sequence[str] | None = None, width: int = 64, depth: int = 0
    ) -> None:
        super().__init__(features, who, levels, width)
        self.convolutions = nn.ModuleDict({level: conv_norm(features.channels[level], width) for level in self.levels})
        self.tower = nn.Sequential(*(conv_norm(width, width) for _ in range(depth)))

    def forward(self, features: Features) -> Tensor:
        finest, *others = self.levels
        total: Tensor = self.convolutions[finest](features[finest])
        for level in others:
            total = total + resize_to(self.convolutions[level](features[level]), total)
        tower: Tensor = self.tower(total)
        return tower
