"""The backbone of the program from which this template grew: three convolutions with ReLU and max-pooling.

Level: `c3` (stride 8, 128 channels): 128 x 4 x 4 for a 32 x 32 image.
"""

from collections.abc import Sequence

from torch import nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import Features, FeatureSpec
from mtl.task import IMAGE, Inputs


class SeedCNN(StagedBackbone):
    """Three blocks of a 3 x 3 convolution, ReLU and 2 x 2 max-pooling.

    Args:
        inputs: what the data module declares; one image.
        widths: channels of the three blocks.
    """

    def __init__(self, inputs: Inputs = IMAGE, widths: tuple[int, int, int] = (32, 64, 128)) -> None:
        super().__init__()
        image = only_input(inputs, "image", "SeedCNN")
        self.inputs = (image.name,)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            for before, after in zip((image.channels, *widths), widths, strict=False)
        )
        self.stage_spec = FeatureSpec(
            {f"s{index}": channels for index, channels in enumerate(widths)},
            {f"s{index}": 2 ** (index + 1) for index in range(3)},
        )
        self.spec = FeatureSpec({"c3": widths[-1]}, {"c3": 8})

    def stages(self) -> Sequence[nn.Module]:
        return list(self.blocks)

    def finish(self, outputs: Sequence[State]) -> Features:
        return {"c3": outputs[-1][0]}
