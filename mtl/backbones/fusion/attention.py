"""A transformer layer whose queries and keys may come from different inputs.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, with the norms before each part.
Shapes: B samples, Q queries, N keys, C channels, H heads.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class AttentionLayer(nn.Module):
    """Attention and a feed-forward part, each added to what came in.

    Args:
        width: channels C.
        heads: number of heads H; it divides the width.

    Raises:
        ValueError: if it does not.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"attention with {heads} heads needs a width that they divide; got {width}.")
        self.heads = heads
        self.query_norm, self.key_norm, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, queries_BQC: Tensor, keys_BNC: Tensor, mask_BN: Tensor) -> Tensor:
        """The queries with what they found, [B,Q,C].

        Args:
            queries_BQC: what asks.
            keys_BNC: what is asked.
            mask_BN: which keys are real; at least one in each sample.
        """
        keys, values = self.key_value(self.key_norm(keys_BNC)).chunk(2, -1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(self.query_norm(queries_BQC)), keys, values)
        )
        found = F.scaled_dot_product_attention(query, key, value, mask_BN[:, None, None])
        queries_BQC = queries_BQC + self.out(found.transpose(1, 2).flatten(2))
        fed: Tensor = queries_BQC + self.feed(self.norm(queries_BQC))
        return fed
