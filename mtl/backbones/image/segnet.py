"""`SegNet`: an encoder that pools and a decoder that puts every value back where its maximum was.

Sources: Badrinarayanan, Kendall, Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation", PAMI 2017, arXiv:1511.00561. Widths and numbers of layers follow Liu, Johns, Davison, "End-to-End
Multi-Task Learning with Attention", CVPR 2019, whose network is this trunk under attention of each task.
Levels: `p0` (stride 1, the first width) for dense heads, `c5` (stride 16, the last width) for image-level heads.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import Features, FeatureSpec
from mtl.task import IMAGE, Inputs


class SegNet(StagedBackbone):
    """Five stages down and five up; a stage up reads where the maxima of its stage down were.

    Args:
        inputs: what the data module declares; one image.
        widths: channels of the five stages down.
        layers: convolutions in each of them, and in the stage up of the same size.

    Raises:
        ValueError: unless both have five numbers above 0.
    """

    def __init__(
        self,
        inputs: Inputs = IMAGE,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        layers: Sequence[int] = (2, 2, 3, 3, 3),
    ) -> None:
        super().__init__()
        image = only_input(inputs, "image", "SegNet")
        self.inputs = (image.name,)
        if len(widths) != 5 or len(layers) != 5 or min(*widths, *layers) < 1:
            raise ValueError(f"SegNet: widths={list(widths)} and layers={list(layers)} must be five numbers above 0.")
        before = [image.channels, *widths[:-1]]
        self.down = nn.ModuleList(
            _Down(a, width, number, pools=bool(index))
            for index, (a, width, number) in enumerate(zip(before, widths, layers, strict=True))
        )
        after = [widths[0], *widths[:-1]]
        # the deepest first; it reads the stage right before it, each next one two stages further back
        self.up = nn.ModuleList(
            _Up(widths[level], after[level], layers[level], reads=1 + 2 * index)
            for index, level in enumerate(reversed(range(5)))
        )
        outputs = [*widths, *reversed(after)]
        strides = [1, 2, 4, 8, 16, 16, 8, 4, 2, 1]
        names = [f"{part}{number}" for part in ("down", "up") for number in range(1, 6)]
        self.stage_spec = FeatureSpec(dict(zip(names, outputs, strict=True)), dict(zip(names, strides, strict=True)))
        self.spec = FeatureSpec({"c5": widths[-1], "p0": widths[0]}, {"c5": 16, "p0": 1})

    def stages(self) -> Sequence[nn.Module]:
        return [*self.down, *self.up]

    def finish(self, outputs: Sequence[State]) -> Features:
        return {"c5": outputs[4][0], "p0": outputs[-1][0]}


class _Down(nn.Module):
    """Pooling, then convolutions; pooling comes first, so that the output is what the stage up has to know."""

    def __init__(self, before: int, after: int, layers: int, pools: bool) -> None:
        super().__init__()
        self.pools = pools
        self.layers = _convolutions([before] + [after] * layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(F.max_pool2d(x, 2) if self.pools else x)
        return out


class _Up(nn.Module):
    """Values at the places of the maxima and zeros elsewhere, then convolutions."""

    def __init__(self, before: int, after: int, layers: int, reads: int) -> None:
        super().__init__()
        self.reads = reads
        self.layers = _convolutions([before] + [after] * layers)

    def forward(self, x: Tensor, down: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(down, 2, return_indices=True)
        # the deepest stage up gets what the stage down gave; pooling it is still to do
        values = pooled if self.reads == 1 else x
        unpooled = F.max_unpool2d(values, places, (2, 2), output_size=list(down.shape[-2:]))
        out: Tensor = self.layers(unpooled)
        return out


def _convolutions(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        convolution = nn.Conv2d(before, after, 3, padding=1)
        # as MTAN starts; under torch's own start little is left of a picture behind 26 untrained layers
        nn.init.xavier_normal_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)
