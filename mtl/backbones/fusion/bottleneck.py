"""Fusion through a bottleneck: the rows of an input see each other and a few shared tokens, and no other input.

Source: Nagrani, Yang, Arnab, Jansen, Schmid, Sun, "Attention Bottlenecks for Multimodal Fusion" (MBT), NeurIPS 2021,
eq. 8 and 9: each input updates its rows and a copy of the tokens; the copies are averaged. There the encoders are the
transformers themselves; here the layers stand behind any encoders.
Shapes: B samples, N rows, K tokens, C channels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.backbones.fusion.attention import AttentionLayer
from mtl.backbones.fusion.fusion import RowFusion, Rows, pooled
from mtl.task import Inputs, InputSpec


class BottleneckFusion(RowFusion):
    """Transformer layers of each input with a few tokens that all share; what one tells another passes through them.

    Args:
        inputs: what the data module declares.
        encoders: a backbone for each input, by the input's name.
        width: channels of `fused` and of the layers.
        modality_dropout: chance that an input of a training sample is dropped, 0 to 1; one always stays.
        num_tokens: shared tokens K; the paper uses 4.
        layers: layers of each input.
        heads: heads of the attention; they divide the width.

    Raises:
        ValueError: for fewer than one token or layer.
    """

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
        num_tokens: int = 4,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__(inputs, encoders, width, modality_dropout)
        if min(num_tokens, layers) < 1:
            raise ValueError(f"BottleneckFusion: num_tokens={num_tokens} and layers={layers} must be at least 1.")
        self.shared = nn.Parameter(0.02 * torch.randn(num_tokens, width))
        self.layers = nn.ModuleList(
            nn.ModuleList(AttentionLayer(width, heads) for _ in self.names) for _ in range(layers)
        )
        self.last = nn.Linear(2 * width * len(self.names) + width, width)

    def attend(self, rows: list[Rows]) -> Tensor:
        batch, number = rows[0][0].shape[0], len(self.shared)  # `len` of a batch would be fixed in exported files
        shared_BKC = self.shared.to(rows[0][0].dtype).expand(batch, -1, -1)
        always_BK = torch.ones(batch, number, dtype=torch.bool, device=shared_BKC.device)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            updated, copies = [], []
            for own, (values_BNC, mask_BN) in zip(layer, rows, strict=True):
                both_BNC, real_BN = torch.cat((shared_BKC, values_BNC), 1), torch.cat((always_BK, mask_BN), 1)
                found_BNC = own(both_BNC, both_BNC, real_BN)
                copies.append(found_BNC[:, :number])
                updated.append((found_BNC[:, number:], mask_BN))
            rows, shared_BKC = updated, torch.stack(copies).mean(0)
        vectors = [pooled(*own) for own in rows]
        return F.relu(self.last(torch.cat((*vectors, shared_BKC.mean(1)), 1)))
