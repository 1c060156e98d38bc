"""Convolutional encoder: embeddings and gated, dilated convolutions over the steps of a sequence.

Level: `t1`, a sequence, with the mask of the tokens. What is padding is set to 0 before each convolution, so that it
adds nothing to its neighbours.
Source: Dauphin et al., "Language Modeling with Gated Convolutional Networks", ICML 2017; dilation as in Strubell et
al., "Fast and Accurate Entity Recognition with Iterated Dilated Convolutions", EMNLP 2017.
Shapes: B samples, T steps, C channels.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import State
from mtl.backbones.text.words import TextBackbone, embeddings
from mtl.task import Inputs


class TextConvolutions(TextBackbone):
    """Embeddings and convolutions, each added to what came in; a layer sees twice as far as the one before.

    Args:
        inputs: what the data module declares; one input of tokens, and perhaps one of characters of the same words.
        width: channels of every layer.
        layers: number of layers; 3 of kernel 3 see 7 words to each side.
        kernel: steps that a convolution spans, odd.
        dropout: share of values dropped before each layer in training, 0 to 1.
        word_dropout: share of words that become unknown ones in training, 0 to 1.
        character_embedding: width of the embedding of characters.
        character_filters: filters over the characters of a word; 0 ignores characters.
    """

    def __init__(
        self,
        inputs: Inputs,
        width: int = 128,
        layers: int = 3,
        kernel: int = 3,
        dropout: float = 0.2,
        word_dropout: float = 0.0,
        character_embedding: int = 30,
        character_filters: int = 50,
    ) -> None:
        super().__init__()
        if layers < 1 or kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"TextConvolutions: layers={layers} must be at least 1 and kernel={kernel} odd.")
        words = embeddings(inputs, "TextConvolutions", width, word_dropout, character_embedding, character_filters)
        self.inputs = words.inputs
        self.embed = nn.Sequential(words.layer, nn.Linear(words.width, width))
        self.layers = nn.ModuleList(_Gated(width, kernel, 2**index, dropout) for index in range(layers))
        self.declare([width] * (layers + 1))

    def stages(self) -> Sequence[nn.Module]:
        return [self.embed, *self.layers]


class _Gated(nn.Module):
    takes_mask = True

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        # over channels: a norm over steps would see padding
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.convolution = nn.Conv1d(width, 2 * width, kernel, padding=dilation * (kernel // 2), dilation=dilation)

    def forward(self, values_BTC: Tensor, mask_BT: Tensor | None) -> State:
        inner_BTC = self.dropout(self.norm(values_BTC))
        if mask_BT is not None:
            inner_BTC = inner_BTC * mask_BT[..., None]
        return values_BTC + F.glu(self.convolution(inner_BTC.transpose(1, 2)), 1).transpose(1, 2), mask_BT
