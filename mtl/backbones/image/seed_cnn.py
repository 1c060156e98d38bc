"""The backbone of the program from which this template grew: three convolutions with ReLU and max-pooling.

Level: `c3` (stride 8, 128 channels): 128 x 4 x 4 for a 32 x 32 image.
"""

from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.features import Features, FeatureSpec


class SeedCNN(Backbone):
    """Three blocks of a 3 x 3 convolution, ReLU and 2 x 2 max-pooling.

    Args:
        widths: channels of the three blocks.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.spec = FeatureSpec({"c3": widths[-1]}, {"c3": 8})

    def forward(self, image: Tensor) -> Features:
        return {"c3": self.layers(image)}
