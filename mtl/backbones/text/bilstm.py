"""Embeddings of words, and of their characters where the data gives them, and bidirectional LSTM layers.

Level: `t1`, a sequence of 2 x `hidden`, with the mask of the tokens. No sequence is packed, which a compiler cannot
follow: the backward direction runs forward over each sequence turned around within its own length.
Shapes: B samples, T steps, L letters of a word, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import State
from mtl.backbones.text.words import TextBackbone, embeddings
from mtl.task import Inputs


class BiLSTM(TextBackbone):
    """Embedding, dropout and LSTM layers in both directions.

    Args:
        inputs: what the data module declares; one input of tokens, and perhaps one of characters of the same words.
        embedding: width of the embedding of words.
        character_embedding: width of the embedding of characters.
        character_filters: filters over 3 characters, of which the largest value in a word counts; 0 ignores characters.
        hidden: units of each direction of each layer.
        layers: number of layers.
        dropout: share of values dropped before each layer in training, 0 to 1.
        word_dropout: share of words that become unknown ones in training, so that these are learned, 0 to 1.
    """

    one_graph = False  # a compiler leaves recurrent layers as they are

    def __init__(
        self,
        inputs: Inputs,
        embedding: int = 100,
        character_embedding: int = 30,
        character_filters: int = 50,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.3,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"BiLSTM: layers={layers} must be at least 1.")
        words = embeddings(inputs, "BiLSTM", embedding, word_dropout, character_embedding, character_filters)
        self.inputs, self.words = words.inputs, words.layer
        widths = [words.width] + [2 * hidden] * (layers - 1)
        self.layers = nn.ModuleList(_Both(width, hidden, dropout) for width in widths)
        self.declare([*widths, 2 * hidden])

    def stages(self) -> Sequence[nn.Module]:
        return [self.words, *self.layers]


class _Both(nn.Module):
    """One layer in both directions; padded steps give 0."""

    takes_mask = True

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.forwards = nn.LSTM(width, hidden, batch_first=True)
        self.backwards = nn.LSTM(width, hidden, batch_first=True)

    def forward(self, values_BTC: Tensor, mask_BT: Tensor | None) -> State:
        values_BTC = self.dropout(values_BTC)
        steps_T = torch.arange(values_BTC.shape[1], device=values_BTC.device)
        length_B1 = torch.full_like(values_BTC[:, :1, 0], values_BTC.shape[1]).long()
        if mask_BT is not None:
            length_B1 = mask_BT.sum(1, keepdim=True)
        # turned around within its own length; padding stays where it is
        order_BT = torch.where(steps_T < length_B1, length_B1 - 1 - steps_T, steps_T)
        there_BTC = self.forwards(values_BTC)[0]
        back_BTC = self.backwards(_turned(values_BTC, order_BT))[0]
        out_BTC = torch.cat((there_BTC, _turned(back_BTC, order_BT)), -1)
        return out_BTC if mask_BT is None else out_BTC * mask_BT[..., None], mask_BT


def _turned(values_BTC: Tensor, order_BT: Tensor) -> Tensor:
    return values_BTC.gather(1, order_BT[..., None].expand_as(values_BTC))
