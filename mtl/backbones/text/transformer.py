"""Transformer encoder: embeddings, positions, and layers of self-attention.

Level: `t1`, a sequence, with the mask of the tokens. Attention runs through PyTorch's scaled dot product, which picks a
fused kernel where there is one. Norms come before attention and before the feed-forward part, which trains from
scratch without a long warm-up.
Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; norms as in Xiong et al., ICML 2020.
Shapes: B samples, T steps, C channels, H heads.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import State
from mtl.backbones.text.words import TextBackbone, embeddings
from mtl.features import Features
from mtl.functional.positions import positions
from mtl.task import Inputs


class TextTransformer(TextBackbone):
    """Embeddings and layers of self-attention in both directions.

    Args:
        inputs: what the data module declares; one input of tokens, and perhaps one of characters of the same words.
        width: channels of every layer; a multiple of `attention_heads`.
        layers: number of layers.
        attention_heads: heads of each attention.
        feed_forward: width of the feed-forward part; 4 times `width` by default.
        dropout: share of values dropped behind embeddings, attention and feed-forward part in training, 0 to 1.
        word_dropout: share of words that become unknown ones in training, 0 to 1.
        character_embedding: width of the embedding of characters.
        character_filters: filters over the characters of a word; 0 ignores characters.
    """

    def __init__(
        self,
        inputs: Inputs,
        width: int = 128,
        layers: int = 2,
        attention_heads: int = 4,
        feed_forward: int | None = None,
        dropout: float = 0.1,
        word_dropout: float = 0.0,
        character_embedding: int = 30,
        character_filters: int = 50,
    ) -> None:
        super().__init__()
        if layers < 1 or width < 1 or width % attention_heads or width % 2:
            raise ValueError(
                f"TextTransformer: layers={layers} must be at least 1, and width={width} an even multiple of "
                f"attention_heads={attention_heads}."
            )
        words = embeddings(inputs, "TextTransformer", width, word_dropout, character_embedding, character_filters)
        self.inputs = words.inputs
        self.embed = _Embedded(words.layer, words.width, width, dropout)
        self.layers = nn.ModuleList(
            SelfAttention(width, attention_heads, feed_forward or 4 * width, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.declare([width] * (layers + 1))

    def stages(self) -> Sequence[nn.Module]:
        return [self.embed, *self.layers]

    def finish(self, outputs: Sequence[State]) -> Features:
        values, mask = outputs[-1]
        return super().finish([(self.norm(values), mask)])


class SelfAttention(nn.Module):
    """One layer: attention over the steps of a sequence and a feed-forward part, each added to what came in.

    Args:
        width: channels.
        heads: of the attention.
        feed_forward: width of the feed-forward part.
        dropout: share of values dropped in training.
    """

    takes_mask = True

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feed_forward, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, values_BTC: Tensor, mask_BT: Tensor | None) -> State:
        """Values and mask.

        Args:
            values_BTC: the sequence.
            mask_BT: which steps are real; all where it is None.
        """
        qkv_BTC = self.qkv(self.norms[0](values_BTC))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv_BTC.chunk(3, -1))
        keys = None if mask_BT is None else some_key(mask_BT)[:, None, None]
        attended_BTC = F.scaled_dot_product_attention(q, k, v, attn_mask=keys).transpose(1, 2).flatten(2)
        values_BTC = values_BTC + self.dropout(self.out(attended_BTC))
        values_BTC = values_BTC + self.dropout(self.feed_forward(self.norms[1](values_BTC)))
        return values_BTC, mask_BT


class _Embedded(nn.Module):
    """Embeddings at their width, with positions added."""

    def __init__(self, words: nn.Module, before: int, width: int, dropout: float) -> None:
        super().__init__()
        self.words = words
        self.project = nn.Linear(before, width) if before != width else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, packed: Tensor) -> Tensor:
        values_BTC = self.project(self.words(packed))
        dropped: Tensor = self.dropout(
            values_BTC + positions(values_BTC.shape[1], values_BTC.shape[2], values_BTC.device).to(values_BTC)
        )
        return dropped


def some_key(mask_BT: Tensor) -> Tensor:
    """The mask, with the first step of a sequence without any: attention to nothing is NaN.

    Args:
        mask_BT: which steps are real.
    """
    first_T = torch.arange(mask_BT.shape[1], device=mask_BT.device) == 0
    return mask_BT | (~mask_BT.any(1, keepdim=True) & first_T)
