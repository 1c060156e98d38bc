"""Low-rank fusion: products of the inputs' values, as of their outer product, by factors of a low rank.

Source: Liu, Shen, Lakshminarasimhan, Liang, Zadeh, Morency, "Efficient Low-rank Multimodal Fusion with
Modality-Specific Factors", ACL 2018, eq. 6: the sum over ranks r of the product over inputs m of W_mr [x_m; 1], with a
learned weight for each rank. The layer norm behind it is ours: products of several factors differ in size.
Shapes: B samples, M inputs, C channels, R ranks.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.backbones.fusion.fusion import VectorFusion
from mtl.task import Inputs, InputSpec


class LowRankFusion(VectorFusion):
    """Products of the inputs in every channel, so that one input may change the meaning of another.

    Args:
        inputs: what the data module declares.
        encoders: a backbone for each input, by the input's name.
        width: channels of `fused`.
        modality_dropout: chance that an input of a training sample is dropped, 0 to 1; one always stays.
        rank: number of factors R.

    Raises:
        ValueError: for a rank below 1.
    """

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
        rank: int = 4,
    ) -> None:
        super().__init__(inputs, encoders, width, modality_dropout)
        if rank < 1:
            raise ValueError(f"LowRankFusion: rank={rank} must be at least 1.")
        # the bias of a factor is its weight on the 1 behind the values
        self.factors = nn.ModuleList(nn.Linear(width, rank * width) for _ in self.names)
        with torch.no_grad():  # a product that begins near the other factors
            for name, value in self.factors.named_parameters():
                if name.endswith("bias"):
                    value.fill_(1.0)
        self.ranks = nn.Parameter(torch.full((rank, 1), rank**-0.5))
        self.norm = nn.LayerNorm(width)

    def join(self, vectors_BMC: Tensor) -> Tensor:
        product_BRC: Tensor | None = None
        for place, factor in enumerate(self.factors):
            own_BRC = factor(vectors_BMC[:, place]).unflatten(1, (len(self.ranks), -1))
            product_BRC = own_BRC if product_BRC is None else product_BRC * own_BRC
        assert product_BRC is not None
        fused: Tensor = self.norm((self.ranks * product_BRC).sum(1))
        return fused
