"""`DilatedResNet`: a ResNet whose last two stages dilate in place of striding, as segmentation networks use it.

Source: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation" (DeepLabv3), arXiv:1706.05587; the
layers are torchvision's. Levels: `c2` (stride 4), `c3`, `c4`, `c5` (stride 8 all three).
"""

from collections.abc import Sequence
from typing import Literal

from torch import nn
from torchvision import models

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.backbones.image.torchvision_network import build_network, widen_first_layer
from mtl.features import Features, FeatureSpec
from mtl.task import IMAGE, Inputs

_WIDTHS = (256, 512, 1024, 2048)  # of the stages of a bottleneck ResNet


class DilatedResNet(StagedBackbone):
    """A ResNet of stride 8; its heads take `levels: [c5]` and, as in the tables of dense tasks, an `ASPPDecoder`.

    Args:
        inputs: what the data module declares; one image.
        name: `resnet50`, `resnet101` or `resnet152`; smaller ones cannot be dilated.
        weights: null for random weights, or the name of a set of pretrained ones, such as `IMAGENET1K_V1`.

    Raises:
        ValueError: if there are no such weights.
        RuntimeError: if the weights cannot be downloaded.
    """

    def __init__(
        self,
        inputs: Inputs = IMAGE,
        name: Literal["resnet50", "resnet101", "resnet152"] = "resnet50",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        image = only_input(inputs, "image", "DilatedResNet")
        self.inputs = (image.name,)
        network = build_network(name, weights, replace_stride_with_dilation=[False, True, True])
        assert isinstance(network, models.ResNet)
        if image.channels != 3:
            widen_first_layer(network, image.channels)
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.blocks = nn.ModuleList([network.layer1, network.layer2, network.layer3, network.layer4])
        self.pretrained = weights is not None
        strides = (4, 8, 8, 8)
        levels = [f"c{number}" for number in range(2, 6)]
        self.spec = FeatureSpec(dict(zip(levels, _WIDTHS, strict=True)), dict(zip(levels, strides, strict=True)))
        self.stage_spec = FeatureSpec(
            {"s0": 64} | {f"s{i + 1}": width for i, width in enumerate(_WIDTHS)},
            {"s0": 4} | {f"s{i + 1}": stride for i, stride in enumerate(strides)},
        )

    def stages(self) -> Sequence[nn.Module]:
        return [self.stem, *self.blocks]

    def finish(self, outputs: Sequence[State]) -> Features:
        return {level: values for level, (values, _) in zip(self.spec.channels, outputs[1:], strict=True)}
