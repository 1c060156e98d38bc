"""Dilated convolutions over the steps of a series.

Levels: `t1`, a sequence with its mask, and `last`, its last real step, a vector. What is padding is set to 0 before
each convolution, so that it adds nothing to its neighbours; norms are over channels: norms over steps see padding.
Source: Bai, Kolter, Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence
Modeling", 2018; here each step sees those after it too, because a sample is a whole window.
Shapes: B samples, T steps, C channels.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import MASK, Features, FeatureSpec
from mtl.task import Inputs


class SeriesConvolutions(StagedBackbone):
    """A linear layer over the numbers of each step, then convolutions, each added to what came in.

    Args:
        inputs: what the data module declares; one series.
        width: channels of every layer.
        layers: number of layers; each sees twice as far as the one before: 3 of kernel 3 see 7 steps to each side.
        kernel: steps that a convolution spans, odd.
        dropout: share of values dropped before each layer in training, 0 to 1.
    """

    def __init__(self, inputs: Inputs, width: int = 64, layers: int = 3, kernel: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        spec = only_input(inputs, "series", "SeriesConvolutions")
        if min(width, layers, kernel) < 1 or kernel % 2 == 0:
            raise ValueError(
                f"SeriesConvolutions: width={width} and layers={layers} must be at least 1 and kernel={kernel} odd."
            )
        self.inputs = (spec.name, spec.name + MASK)
        self.stem = nn.Linear(spec.channels, width)
        self.layers = nn.ModuleList(_Layer(width, kernel, 2**index, dropout) for index in range(layers))
        levels = [f"s{index}" for index in range(layers + 1)]
        self.stage_spec = FeatureSpec(dict.fromkeys(levels, width), layouts=dict.fromkeys(levels, "sequence"))
        self.spec = FeatureSpec({"t1": width, "last": width}, layouts={"t1": "sequence", "last": "vector"})

    def stages(self) -> Sequence[nn.Module]:
        return [self.stem, *self.layers]

    def finish(self, outputs: Sequence[State]) -> Features:
        values_BTC, mask_BT = outputs[-1]
        if mask_BT is None:
            return {"t1": values_BTC, "last": values_BTC[:, -1]}
        place_B11 = (mask_BT.sum(1) - 1).clamp(min=0)[:, None, None]
        last_BC = values_BTC.gather(1, place_B11.expand(-1, 1, values_BTC.shape[2]))[:, 0]
        return {"t1": values_BTC * mask_BT[..., None], "t1" + MASK: mask_BT, "last": last_BC}


class _Layer(nn.Module):
    takes_mask = True

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.convolution = nn.Conv1d(width, 2 * width, kernel, padding=dilation * (kernel // 2), dilation=dilation)

    def forward(self, values_BTC: Tensor, mask_BT: Tensor | None) -> State:
        inner_BTC = self.dropout(self.norm(values_BTC))
        if mask_BT is not None:
            inner_BTC = inner_BTC * mask_BT[..., None]
        return values_BTC + F.glu(self.convolution(inner_BTC.transpose(1, 2)), 1).transpose(1, 2), mask_BT
