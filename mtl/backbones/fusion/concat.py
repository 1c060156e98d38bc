"""Fusion by concatenation: the vectors of all inputs side by side, and a layer over them.

Shapes: B samples, M inputs, C channels.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.backbones.fusion.fusion import VectorFusion
from mtl.task import Inputs, InputSpec


class ConcatFusion(VectorFusion):
    """A linear layer with ReLU over the vectors of all inputs.

    Args:
        inputs: what the data module declares.
        encoders: a backbone for each input, by the input's name.
        width: channels of `fused`.
        modality_dropout: chance that an input of a training sample is dropped, 0 to 1; one always stays.
    """

    def __init__(
        self,
        inputs: Inputs,
        encoders: dict[str, Callable[[dict[str, InputSpec]], Backbone] | None],
        width: int = 64,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__(inputs, encoders, width, modality_dropout)
        self.layer = nn.Linear(len(self.names) * width, width)

    def join(self, vectors_BMC: Tensor) -> Tensor:
        return F.relu(self.layer(F.relu(vectors_BMC).flatten(1)))
