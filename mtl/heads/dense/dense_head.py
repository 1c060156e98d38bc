"""`DenseHead`: the base of heads with an answer for every pixel: a decoder, a last layer, and means that obey the law.

Shapes: B samples, h x w cells of the decoder's map, H x W pixels of the target, O outputs of a pixel.
"""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.distributed.normaliser import global_count, masked_mean
from mtl.features import Features, FeatureSpec
from mtl.heads.decoders.decoder import Decoder
from mtl.heads.decoders.fpn import FPNDecoder
from mtl.heads.head import Head, Outputs
from mtl.metrics.totals import at_size
from mtl.task import Task

DecoderFactory = Callable[[FeatureSpec, str, Sequence[str] | None, int], Decoder]


class DenseHead(Head):
    """A decoder and a 1 x 1 convolution.

    Args:
        task: the task to predict.
        features: widths and strides of the features.
        outputs: O.
        levels: maps that the decoder uses; its own choice by default.
        width: channels of the decoder.
        decoder: decoder class with its own arguments; `FPNDecoder` by default.
    """

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        outputs: int,
        levels: list[str] | None = None,
        width: int = 64,
        decoder: DecoderFactory | None = None,
    ) -> None:
        super().__init__(task, features)
        self.decoder = (decoder or FPNDecoder)(features, f"head {task.name!r}", levels, width)
        self.layer = nn.Conv2d(self.decoder.width, outputs, 1)

    def forward(self, features: Features) -> Outputs:
        return {"logits": self.layer(self.decoder(features)).float()}

    def at_target(self, outputs: Outputs, target: Tensor) -> Tensor:
        """The outputs at the size of the target, [B,O,H,W]: what `at_input` gives, without what reaches over its edge.

        Args:
            outputs: result of `forward`.
            target: [B,...,H,W].
        """
        # channels-first: on a CPU, a loss over the channels of full-size maps is 2 to 3 times faster
        logits = outputs["logits"].contiguous()
        if logits.shape[-2:] == target.shape[-2:]:
            return logits
        size = [side * self.decoder.stride for side in logits.shape[-2:]]
        return at_size(F.interpolate(logits, size=size, mode="bilinear"), *target.shape[-2:])

    def at_input(self, outputs: Outputs) -> Tensor:
        """The outputs at the size of the network's input, [B,O,H,W]; the last cells may reach over its edge.

        Args:
            outputs: result of `forward`.
        """
        size = [side * self.decoder.stride for side in outputs["logits"].shape[-2:]]
        return F.interpolate(outputs["logits"], size=size, mode="bilinear")


def mean_of_pixels(losses_BHW: Tensor, known_BHW: Tensor, weight_BHW: Tensor | None = None) -> Tensor:
    """Mean over the known pixels of all ranks; an exact 0 with gradient where there is none.

    Args:
        losses_BHW: finite in every pixel.
        known_BHW: which pixels count.
        weight_BHW: weight of every pixel; its sum is the normaliser.
    """
    weight_BHW = known_BHW.to(losses_BHW.dtype) if weight_BHW is None else weight_BHW * known_BHW
    return (losses_BHW * weight_BHW).sum() / global_count(weight_BHW.sum())


def mean_of_pictures(losses_B: Tensor, known_BHW: Tensor) -> Tensor:
    """Mean over the pictures of all ranks that have a known pixel.

    Args:
        losses_B: a finite loss of every picture.
        known_BHW: which pixels count.
    """
    return masked_mean(losses_B, known_BHW.flatten(1).any(1))
