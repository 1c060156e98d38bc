"""Word embeddings and bidirectional LSTM layers.

Level: `t1`, a sequence of 2 x `hidden`, with the mask of the tokens. No sequence is packed, which a compiler cannot
follow: the backward direction runs forward over each sequence turned around within its own length.
Shapes: B samples, T steps, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input
from mtl.features import MASK, Features, FeatureSpec
from mtl.inputs.tokens import PADDING, UNKNOWN
from mtl.task import Inputs


class BiLSTM(StagedBackbone):
    """Embedding, dropout and LSTM layers in both directions.

    Args:
        inputs: what the data module declares; one input of tokens.
        embedding: width of the embedding.
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
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.3,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        tokens = only_input(inputs, "tokens", "BiLSTM")
        if layers < 1:
            raise ValueError(f"BiLSTM: layers={layers} must be at least 1.")
        self.inputs = (tokens.name, tokens.name + MASK)
        widths = [embedding] + [2 * hidden] * (layers - 1)
        self.words = _Words(tokens.channels, embedding, word_dropout)
        self.layers = nn.ModuleList(_Both(width, hidden, dropout) for width in widths)
        self.stage_spec = FeatureSpec(
            {f"s{index}": width for index, width in enumerate((*widths, 2 * hidden))},
            layouts={f"s{index}": "sequence" for index in range(layers + 1)},
        )
        self.spec = FeatureSpec({"t1": 2 * hidden}, layouts={"t1": "sequence"})

    def stages(self) -> Sequence[nn.Module]:
        return [self.words, *self.layers]

    def finish(self, outputs: Sequence[State]) -> Features:
        values, mask = outputs[-1]
        return {"t1": values} if mask is None else {"t1": values, "t1" + MASK: mask}


class _Words(nn.Module):
    def __init__(self, vocabulary: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.dropout = dropout

    def forward(self, tokens_BT: Tensor) -> Tensor:
        if self.training and self.dropout:
            lost_BT = (torch.rand(tokens_BT.shape, device=tokens_BT.device) < self.dropout) & (tokens_BT != PADDING)
            tokens_BT = tokens_BT.masked_fill(lost_BT, UNKNOWN)
        embedded: Tensor = self.embedding(tokens_BT)
        return embedded


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
        length_B1 = torch.full_like(values_BTC[:, :1, 0], len(steps_T)).long()
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
