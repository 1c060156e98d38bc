"""Convolutional network over a log-mel spectrogram: two convolutions over time and bands, then layers over time.

Level: `t1`, a sequence with a step every `2 * 10` ms, and its mask. What is padding is set to 0 before each
convolution, so that it adds nothing to its neighbours. Norms are over channels: norms over time would see padding.
Source of a layer over time (depthwise convolution between two linear layers): Gulati et al., "Conformer", Interspeech
2020, here without attention and with dilation.
Shapes: B samples, F frames, M bands, T steps, C channels.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import MASK, Features, FeatureSpec
from mtl.task import Inputs

STRIDE = 2  # frames of a step: at 20 ms no spoken digit has fewer steps than letters


class AudioConvolutions(StagedBackbone):
    """Convolutions over time and bands, then over time; each layer sees twice as far as the one before, up to 8 steps.

    Args:
        inputs: what the data module declares; one input of audio.
        width: channels of every layer over time.
        filters: channels of the convolutions over time and bands.
        layers: number of layers over time.
        kernel: steps that a convolution over time spans, odd.
        dropout: share of values dropped before each layer in training, 0 to 1.
    """

    def __init__(
        self,
        inputs: Inputs,
        width: int = 96,
        filters: int = 16,
        layers: int = 4,
        kernel: int = 5,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        spec = only_input(inputs, "audio", "AudioConvolutions")
        if min(width, filters, layers, kernel) < 1 or kernel % 2 == 0:
            raise ValueError(
                f"AudioConvolutions: width={width}, filters={filters} and layers={layers} must be at least 1 and "
                f"kernel={kernel} odd."
            )
        self.inputs = (spec.name, spec.name + MASK)
        self.stem = Stem(spec.channels, filters, width)
        self.layers = nn.ModuleList(_Layer(width, kernel, 2 ** min(index, 3), dropout) for index in range(layers))
        self.stage_spec = audio_levels(layers + 1, width)
        self.spec = FeatureSpec({"t1": width}, {"t1": STRIDE}, {"t1": "sequence"})

    def stages(self) -> Sequence[nn.Module]:
        return [self.stem, *self.layers]

    def finish(self, outputs: Sequence[State]) -> Features:
        values, mask = outputs[-1]
        return {"t1": values} if mask is None else {"t1": values * mask[..., None], "t1" + MASK: mask}


def audio_levels(stages: int, width: int) -> FeatureSpec:
    """The levels behind the stages of a backbone of audio, all of one width and rate.

    Args:
        stages: their number.
        width: channels.
    """
    levels = [f"s{index}" for index in range(stages)]
    return FeatureSpec(dict.fromkeys(levels, width), dict.fromkeys(levels, STRIDE), dict.fromkeys(levels, "sequence"))


class Stem(nn.Module):
    """Two convolutions over time and bands, of which the first halves both; then one vector a step.

    Args:
        bands: of the spectrogram.
        filters: channels of the convolutions.
        width: of the vectors.
    """

    takes_mask = True

    def __init__(self, bands: int, filters: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, filters, 3, stride=(STRIDE, 2), padding=1)
        self.second = nn.Conv2d(filters, filters, 3, stride=(1, 2), padding=1)
        left = (bands + 3) // 4
        self.linear = nn.Linear(filters * left, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, mel_BFM: Tensor, mask_BF: Tensor | None) -> State:
        """Values [B,T,C] and which steps are real.

        Args:
            mel_BFM: the spectrogram.
            mask_BF: which frames are real; all where it is None.
        """
        mask_BT = None if mask_BF is None else mask_BF[:, ::STRIDE]
        if mask_BF is not None:
            mel_BFM = mel_BFM * mask_BF[..., None]
        x_BCTM = F.gelu(self.first(mel_BFM[:, None]))
        if mask_BT is not None:
            x_BCTM = x_BCTM * mask_BT[:, None, :, None]
        x_BCTM = F.gelu(self.second(x_BCTM))
        return self.norm(self.linear(x_BCTM.permute(0, 2, 1, 3).flatten(2))), mask_BT


class _Layer(nn.Module):
    takes_mask = True

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.before = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(
            width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=width
        )
        self.middle = nn.LayerNorm(width)
        self.after = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values_BTC: Tensor, mask_BT: Tensor | None) -> State:
        inner_BTC = F.glu(self.before(self.norm(values_BTC)), -1)
        if mask_BT is not None:
            inner_BTC = inner_BTC * mask_BT[..., None]
        inner_BTC = self.depthwise(inner_BTC.transpose(1, 2)).transpose(1, 2)
        return values_BTC + self.dropout(self.after(F.gelu(self.middle(inner_BTC)))), mask_BT
