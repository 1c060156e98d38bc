"""Gated fusion: for each channel, a share of every input that depends on all of them.

Source: Arevalo, Solorio, Montes-y-Gomez, Gonzalez, "Gated Multimodal Units for Information Fusion", 2017: h_m =
tanh(W_m x_m), z from all x, and the sum of z_m * h_m. The gates are a softmax over the inputs: a sigmoid for two.
Shapes: B samples, M inputs, C channels.
"""

from collections.abc import Callable

from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.backbones.fusion.fusion import VectorFusion
from mtl.task import Inputs, InputSpec


class GatedFusion(VectorFusion):
    """A weighted mean of the inputs in every channel; the weights are learned from all inputs.

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
        self.gate = nn.Linear(len(self.names) * width, len(self.names) * width)

    def join(self, vectors_BMC: Tensor) -> Tensor:
        share_BMC = self.gate(vectors_BMC.flatten(1)).view_as(vectors_BMC).softmax(1)
        fused: Tensor = (share_BMC * vectors_BMC.tanh()).sum(1)
        return fused
