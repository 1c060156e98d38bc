"""Layers of an autoregressive transformer decoder: it sees the tokens before, and everything of the memory.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; norms come first, as in Xiong et al., ICML 2020.
Shapes: B samples, S tokens so far, N rows of memory, C channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DecoderLayer(nn.Module):
    """Attention to the tokens before, attention to the memory, and a feed-forward part, each added to what came in.

    Args:
        width: channels.
        heads: of each attention.
        dropout: share of values dropped in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own = nn.Linear(width, 3 * width)
        self.own_out = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.memory = nn.Linear(width, 2 * width)
        self.memory_out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, values_BSC: Tensor, memory_BNC: Tensor, keys_BN: Tensor | None) -> Tensor:
        """The values [B,S,C] after this layer.

        Args:
            values_BSC: the tokens so far.
            memory_BNC: what is decoded from.
            keys_BN: which rows of the memory are real, at least one; all where it is None.
        """
        values_BSC = self._before(values_BSC)
        k, v = self.memory(memory_BNC).chunk(2, -1)
        mask = None if keys_BN is None else keys_BN[:, None, None]
        attended_BSC = self._attend(self.query(self.norms[1](values_BSC)), k, v, attn_mask=mask)
        values_BSC = values_BSC + self.dropout(self.memory_out(attended_BSC))
        out_BSC: Tensor = values_BSC + self.dropout(self.feed_forward(self.norms[2](values_BSC)))
        return out_BSC

    def attention(self, values_BSC: Tensor, memory_BNC: Tensor, keys_BN: Tensor | None) -> Tensor:
        """Share of its attention to the memory that each token gives to each row, mean over the heads, [B,S,N].

        Args:
            values_BSC: what `forward` takes.
            memory_BNC: what is decoded from.
            keys_BN: which rows of the memory are real; all where it is None.
        """
        q = self.query(self.norms[1](self._before(values_BSC)))
        k, _ = self.memory(memory_BNC).chunk(2, -1)
        q, k = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k))
        scores_BHSN = q.float() @ k.float().transpose(-1, -2) / q.shape[-1] ** 0.5
        if keys_BN is not None:
            scores_BHSN = scores_BHSN.masked_fill(~keys_BN[:, None, None], -torch.inf)
        shares_BSN: Tensor = scores_BHSN.softmax(-1).mean(1)
        return shares_BSN

    def _before(self, values_BSC: Tensor) -> Tensor:
        """The values after the attention to the tokens before."""
        q, k, v = self.own(self.norms[0](values_BSC)).chunk(3, -1)
        out_BSC: Tensor = values_BSC + self.dropout(self.own_out(self._attend(q, k, v, is_causal=True)))
        return out_BSC

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, **masks: Any) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, **masks).transpose(1, 2).flatten(2)
