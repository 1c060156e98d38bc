"""Small conformer over a log-mel spectrogram: attention over the whole recording, convolutions over its neighbourhood.

Level: `t1`, a sequence with a step every `2 * 10` ms, and its mask. What is padding is set to 0 before each
convolution and is no key of the attention.
Source: Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", Interspeech 2020, eq. 1.
Unlike there, positions are added once, before the first layer, in place of relative ones in the attention, and the norm
of the convolution is over channels: a norm over time would see padding and other samples.
Shapes: B samples, F frames, M bands, T steps, C channels.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.audio.convolutions import STRIDE, Stem, audio_levels
from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.backbones.text.transformer import some_key
from mtl.features import MASK, Features, FeatureSpec
from mtl.functional.positions import positions
from mtl.task import Inputs


class Conformer(StagedBackbone):
    """Convolutions over time and bands, then layers of half a feed-forward part, attention, convolution, and the rest.

    Args:
        inputs: what the data module declares; one input of audio.
        width: channels of every layer; an even multiple of `attention_heads`.
        filters: channels of the convolutions over time and bands.
        layers: number of layers.
        attention_heads: heads of each attention.
        kernel: steps that the convolution of a layer spans, odd; the paper uses 31 at 40 ms a step.
        dropout: share of values dropped behind each part in training, 0 to 1.

    Raises:
        ValueError: for settings that do not fit each other.
    """

    def __init__(
        self,
        inputs: Inputs,
        width: int = 96,
        filters: int = 16,
        layers: int = 3,
        attention_heads: int = 4,
        kernel: int = 15,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        spec = only_input(inputs, "audio", "Conformer")
        if min(width, filters, layers, attention_heads, kernel) < 1 or kernel % 2 == 0:
            raise ValueError(
                f"Conformer: width={width}, filters={filters}, layers={layers} and attention_heads={attention_heads} "
                f"must be at least 1 and kernel={kernel} odd."
            )
        if width % attention_heads or width % 2:
            raise ValueError(f"Conformer: width={width} must be an even multiple of attention_heads={attention_heads}.")
        self.inputs = (spec.name, spec.name + MASK)
        self.stem = _Placed(Stem(spec.channels, filters, width), dropout)
        self.layers = nn.ModuleList(_Layer(width, attention_heads, kernel, dropout) for _ in range(layers))
        self.stage_spec = audio_levels(layers + 1, width)
        self.spec = FeatureSpec({"t1": width}, {"t1": STRIDE}, {"t1": "sequence"})

    def stages(self) -> Sequence[nn.Module]:
        return [self.stem, *self.layers]

    def finish(self, outputs: Sequence[State]) -> Features:
        values, mask = outputs[-1]
        return {"t1": values} if mask is None else {"t1": values * mask[..., None], "t1" + MASK: mask}


class _Placed(nn.Module):
    """The first convolutions, with positions added."""

    takes_mask = True

    def __init__(self, stem: Stem, dropout: float) -> None:
        super().__init__()
        self.stem = stem
        self.dropout = nn.Dropout(dropout)

    def forward(self, mel_BFM: Tensor, mask_BF: Tensor | None) -> State:
        values_BTC, mask_BT = self.stem(mel_BFM, mask_BF)
        places_TC = positions(values_BTC.shape[1], values_BTC.shape[2], values_BTC.device).to(values_BTC)
        return self.dropout(values_BTC + places_TC), mask_BT


class _Layer(nn.Module):
    takes_mask = True

    def __init__(self, width: int, heads: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = (_feed_forward(width, dropout) for _ in range(2))
        self.attention_norm, self.convolution_norm, self.middle, self.last = (nn.LayerNorm(width) for _ in range(4))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.before, self.after = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values_BTC: Tensor, mask_BT: Tensor | None) -> State:
        values_BTC = values_BTC + self.first(values_BTC) / 2
        values_BTC = values_BTC + self.dropout(self._attended(self.attention_norm(values_BTC), mask_BT))
        values_BTC = values_BTC + self.dropout(self._convolved(self.convolution_norm(values_BTC), mask_BT))
        return self.last(values_BTC + self.second(values_BTC) / 2), mask_BT

    def _attended(self, values_BTC: Tensor, mask_BT: Tensor | None) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(values_BTC).chunk(3, -1))
        keys = None if mask_BT is None else some_key(mask_BT)[:, None, None]
        found: Tensor = self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=keys).transpose(1, 2).flatten(2))
        return found

    def _convolved(self, values_BTC: Tensor, mask_BT: Tensor | None) -> Tensor:
        inner_BTC = F.glu(self.before(values_BTC), -1)
        if mask_BT is not None:
            inner_BTC = inner_BTC * mask_BT[..., None]
        inner_BTC = self.depthwise(inner_BTC.transpose(1, 2)).transpose(1, 2)
        found: Tensor = self.after(F.silu(self.middle(inner_BTC)))
        return found


def _feed_forward(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 4 * width),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(4 * width, width),
        nn.Dropout(dropout),
    )
