"""A small residual CNN with a light pyramid: the quick-start backbone, which trains within seconds on a CPU.

Levels: `c4` (stride 16, 4 x width) for image-level heads, `p2` (stride 4, `pyramid_width`) for dense heads. With four
stages the deepest level is `c5` (stride 32, 8 x width).
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import Features, FeatureSpec
from mtl.task import IMAGE, Inputs


class ResidualFPN(StagedBackbone):
    """Stem and residual stages (strides 4, 8, 16, ...), merged top-down into one map of stride 4.

    Args:
        inputs: what the data module declares; one image.
        width: channels of the stem and the first stage; each further stage has twice as many.
        pyramid_width: channels of `p2`.
        blocks: residual blocks per stage.
        num_stages: stages after the stem; a fourth sees more context for few operations.

    Raises:
        ValueError: for fewer than two stages.
    """

    def __init__(
        self,
        inputs: Inputs = IMAGE,
        width: int = 16,
        pyramid_width: int = 32,
        blocks: int = 1,
        num_stages: int = 3,
    ) -> None:
        super().__init__()
        if num_stages < 2:
            raise ValueError(f"ResidualFPN: num_stages={num_stages} must be at least 2.")
        image = only_input(inputs, "image", "ResidualFPN")
        self.inputs = (image.name,)
        widths = [width * 2**stage for stage in range(num_stages)]
        self.stem = nn.Sequential(*_conv_norm(image.channels, width, kernel=3, stride=2), nn.ReLU())
        self.blocks = nn.ModuleList()
        before = width
        for after in widths:
            rest = [_Residual(after, after, stride=1) for _ in range(blocks - 1)]
            self.blocks.append(nn.Sequential(_Residual(before, after, stride=2), *rest))
            before = after
        self.lateral = nn.ModuleList(nn.Conv2d(channels, pyramid_width, 1) for channels in widths)
        self.smooth = _conv_norm(pyramid_width, pyramid_width, kernel=3)
        self.stage_spec = FeatureSpec(
            {f"s{index}": channels for index, channels in enumerate([width, *widths])},
            {f"s{index}": 2 ** (index + 1) for index in range(num_stages + 1)},
        )
        self.deepest = f"c{num_stages + 1}"
        strides = {self.deepest: 2 ** (num_stages + 1), "p2": 4}
        self.spec = FeatureSpec({self.deepest: widths[-1], "p2": pyramid_width}, strides)

    def stages(self) -> Sequence[nn.Module]:
        return [self.stem, *self.blocks]

    def skippable(self) -> list[nn.Module]:
        stages = [stage for stage in self.blocks if isinstance(stage, nn.Sequential)]
        return [block for stage in stages for block in list(stage)[1:]]

    def finish(self, outputs: Sequence[State]) -> Features:
        maps = [values for values, _ in outputs[1:]]
        merged = self.lateral[-1](maps[-1])
        for lateral, fine in zip(reversed(self.lateral[:-1]), reversed(maps[:-1]), strict=True):
            merged = lateral(fine) + F.interpolate(merged, size=fine.shape[-2:], mode="nearest")
        return {self.deepest: maps[-1], "p2": F.relu(self.smooth(merged))}


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = _conv_norm(before, after, kernel=3, stride=stride)
        self.second = _conv_norm(after, after, kernel=3)
        same = before == after and stride == 1
        self.skip: nn.Module = nn.Identity() if same else _conv_norm(before, after, kernel=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.second(F.relu(self.first(x))))


def _conv_norm(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after))
