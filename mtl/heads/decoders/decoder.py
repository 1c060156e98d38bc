"""`Decoder`: the interface between the levels of a backbone and the last layer of a dense head.

Shapes: B samples, h x w cells of the finest level, h_l x w_l cells of level l.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.features import Features, FeatureSpec


class Decoder(nn.Module, ABC):
    """Levels -> one map [B,width,h,w] of the finest level's stride.

    Args:
        features: widths and strides of the features.
        who: name of the head, for error messages.
        levels: maps to use; the pyramid by default.
        width: channels of the map.

    Raises:
        ValueError: for a level that is missing or no map, or without a pyramid.
    """

    def __init__(self, features: FeatureSpec, who: str, levels: Sequence[str] | None = None, width: int = 64) -> None:
        super().__init__()
        named = features.require(levels, who, ["map"]) if levels else features.pyramid(who)
        self.levels = sorted(named, key=lambda level: features.strides[level])  # finest first
        self.stride = features.strides[self.levels[0]]
        self.width = width

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """The map, [B,width,h,w].

        Args:
            features: the backbone's maps.
        """


def resize_to(x: Tensor, like: Tensor) -> Tensor:
    """A map at the size of another one.

    Args:
        x: [B,C,h_l,w_l].
        like: [B,*,h,w].
    """
    size = like.shape[-2:]
    return x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear")


def conv_norm(before: int, after: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """A convolution with batch norm and ReLU that keeps the size.

    Args:
        before: channels that come in.
        after: channels that go out.
        kernel: side of the filter, odd.
        dilation: distance between its taps.
    """
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(before, after, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())
