"""Depth head: a distance for every pixel, by L1, reverse Huber or scale-invariant loss.

Sources: berHu: Laina et al., "Deeper Depth Prediction with Fully Convolutional Residual Networks", 3DV 2016,
arXiv:1606.00373, section 3.2; its threshold is a fifth of the largest error of the batch, here of the picture, and gets
no gradient. silog: Eigen, Puhrsch, Fergus, NeurIPS 2014, arXiv:1406.2283, eq. 4, as the square root with lambda .85 of
Lee et al., "From Big to Small", arXiv:1907.10326, in each picture where theirs is over the batch. So N ranks equal one.
Shapes: B samples, H x W pixels.
"""

from typing import Literal

import torch
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.features import FeatureSpec
from mtl.heads.dense.dense_head import DecoderFactory, DenseHead, mean_of_pictures, mean_of_pixels
from mtl.heads.head import Outputs
from mtl.metrics.depth import DepthMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task

_LARGEST_LOG = 20.0  # the exponential of a wild output stays finite


class DepthHead(DenseHead):
    """A number above 0 for every pixel: `target_mean + target_std * output`, or its exponential form for `silog`.

    Args:
        task: a task of kind `depth` or `inverse_depth`.
        features: widths and strides of the features.
        levels: maps that the decoder uses; its own choice by default.
        width: channels of the decoder.
        decoder: decoder class with its own arguments; `FPNDecoder` by default.
        error: `l1` (absolute error), `berhu` (squared above a fifth of the picture's largest error), or `silog`
            (variance of the log ratio; the output is `target_mean * exp(output)`).
        target_mean: typical value of the target, in its unit.
        target_std: spread of the target, in its unit, above 0; unused by `silog`.
        variance_weight: lambda of `silog`; at 1 a wrong scale costs nothing.

    Raises:
        ValueError: if a setting is out of range.
    """

    kinds = ("depth", "inverse_depth")
    monitor = ("abs_err", "min")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        width: int = 64,
        decoder: DecoderFactory | None = None,
        error: Literal["l1", "berhu", "silog"] = "l1",
        target_mean: float | None = None,
        target_std: float = 1.0,
        variance_weight: float = 0.85,
    ) -> None:
        super().__init__(task, features, 1, levels, width, decoder)
        mean = target_mean if target_mean is not None else 1.0 if error == "silog" else 0.0
        if target_std <= 0 or not 0 <= variance_weight <= 1 or (error == "silog" and mean <= 0):
            raise ValueError(
                f"head {task.name!r}: target_std={target_std} must be above 0, variance_weight={variance_weight} "
                f"within 0..1, and target_mean={mean} above 0 for silog."
            )
        self.error, self.target_mean, self.target_std = error, mean, target_std
        self.variance_weight = variance_weight

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        target_BHW = batch[self.task.name].float()
        known_BHW = (target_BHW > 0) & target_BHW.isfinite() & labelled(batch, self.task)[:, None, None]
        # a finite value for missing targets: NaN * 0 is NaN, also in the gradient
        target_BHW = torch.where(known_BHW, target_BHW, 1.0)
        raw_BHW = self.at_target(outputs, target_BHW)[:, 0]
        if self.error == "silog":
            log_BHW = self._log(raw_BHW) - target_BHW.log()
            return mean_of_pictures(silog(log_BHW, known_BHW, self.variance_weight), known_BHW)
        error_BHW = (self._values(raw_BHW) - target_BHW).abs()
        if self.error == "berhu":
            error_BHW = berhu(error_BHW, known_BHW)
        return mean_of_pixels(error_BHW, known_BHW)

    def decode(self, outputs: Outputs) -> Predictions:
        return {"values": self._values(self.at_input(outputs)[:, 0])}

    def metrics(self) -> DepthMetrics:
        return DepthMetrics(self.task)

    def _values(self, raw_BHW: Tensor) -> Tensor:
        return self._log(raw_BHW).exp() if self.error == "silog" else raw_BHW * self.target_std + self.target_mean

    def _log(self, raw_BHW: Tensor) -> Tensor:
        return raw_BHW.clamp(-_LARGEST_LOG, _LARGEST_LOG) + torch.tensor(self.target_mean).log()


def berhu(error_BHW: Tensor, known_BHW: Tensor) -> Tensor:
    """Reverse Huber loss of every pixel: the error below c, (error^2 + c^2) / 2c above it.

    Args:
        error_BHW: absolute errors.
        known_BHW: which pixels may set c, a fifth of the largest error of the picture.
    """
    largest_B = (error_BHW * known_BHW).flatten(1).amax(1)
    c_B11 = 0.2 * largest_B.detach().clamp(min=1e-6)[:, None, None]
    return torch.where(error_BHW <= c_B11, error_BHW, (error_BHW.square() + c_B11.square()) / (2 * c_B11))


def silog(log_BHW: Tensor, known_BHW: Tensor, variance_weight: float) -> Tensor:
    """Scale-invariant loss of every picture, [B]: sqrt(mean(d^2) - variance_weight mean(d)^2).

    Args:
        log_BHW: d, predicted minus true logarithm.
        known_BHW: which pixels count.
        variance_weight: lambda.
    """
    count_B = known_BHW.flatten(1).sum(1).clamp(min=1)
    mean_B = (log_BHW * known_BHW).flatten(1).sum(1) / count_B
    square_B = (log_BHW.square() * known_BHW).flatten(1).sum(1) / count_B
    # mean(d^2) - mean(d)^2 loses its digits near 0, and the root has no gradient there
    return (square_B - variance_weight * mean_B.square()).clamp(min=1e-8).sqrt()
