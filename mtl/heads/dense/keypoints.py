"""Keypoints head: a heat map for each point, of which one cell is right.

Source: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017, arXiv:1703.06870, section 5: cross-entropy of a softmax
over all cells of a map. Their target is one cell; here it is a Gaussian around the point, whose place between cells
then counts too, and the answer is the centroid of the peak.
Shapes: B samples, J points, h x w cells, N = h w.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.batch import Batch, labelled
from mtl.distributed.normaliser import global_count
from mtl.features import FeatureSpec
from mtl.heads.dense.dense_head import DecoderFactory, DenseHead
from mtl.heads.head import Outputs
from mtl.metrics.keypoints import KeypointMetrics
from mtl.metrics.task_metrics import Predictions
from mtl.task import Task


class KeypointsHead(DenseHead):
    """The place of each point of one thing in the picture; a point without annotation teaches nothing.

    Args:
        task: a task of kind `keypoints`.
        features: widths and strides of the features.
        levels: maps that the decoder uses; its own choice by default.
        width: channels of the decoder.
        decoder: decoder class with its own arguments; `FPNDecoder` by default.
        sigma_cells: standard deviation of the target around a point, in cells of the heat map.
        tolerance: largest error of a point that counts as found, as a share of the size of the thing.

    Raises:
        ValueError: if a setting is not above 0.
    """

    kinds = ("keypoints",)
    monitor = ("pck", "max")

    def __init__(
        self,
        task: Task,
        features: FeatureSpec,
        levels: list[str] | None = None,
        width: int = 64,
        decoder: DecoderFactory | None = None,
        sigma_cells: float = 1.0,
        tolerance: float = 0.1,
    ) -> None:
        super().__init__(task, features, task.num_classes, levels, width, decoder)
        if sigma_cells <= 0 or tolerance <= 0:
            raise ValueError(
                f"head {task.name!r}: sigma_cells={sigma_cells} and tolerance={tolerance} must be above 0."
            )
        self.sigma_cells, self.tolerance = sigma_cells, tolerance

    def loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        logits_BJhw = outputs["logits"]
        height, width = logits_BJhw.shape[-2:]
        points_BJ2 = batch[self.task.name].float() / self.decoder.stride
        limit = torch.tensor([width, height], device=points_BJ2.device)
        inside_BJ = ((points_BJ2 >= 0) & (points_BJ2 < limit)).all(-1)  # NaN is nowhere
        known_BJ = inside_BJ & labelled(batch, self.task)[:, None]
        # a finite value for missing points: NaN * 0 is NaN, also in the gradient
        points_BJ2 = torch.where(known_BJ[..., None], points_BJ2, 0.0)
        target_BJN = gaussian_targets(points_BJ2, height, width, self.sigma_cells).flatten(2)
        losses_BJ = -(target_BJN * F.log_softmax(logits_BJhw.flatten(2), -1)).sum(-1)
        return (losses_BJ * known_BJ).sum() / global_count(known_BJ.sum())

    def decode(self, outputs: Outputs) -> Predictions:
        logits_BJhw = outputs["logits"]
        share_BJhw = logits_BJhw.flatten(2).softmax(-1).view_as(logits_BJhw)
        width = logits_BJhw.shape[-1]
        x = torch.arange(width, device=logits_BJhw.device) + 0.5
        y = torch.arange(logits_BJhw.shape[-2], device=logits_BJhw.device)[:, None] + 0.5
        peak_BJ1 = share_BJhw.flatten(2).argmax(-1, keepdim=True)
        # mass and centroid of the 3 x 3 cells around the peak
        mass_BJ, x_BJ, y_BJ = (
            (9 * F.avg_pool2d(share_BJhw * place, 3, 1, 1)).flatten(2).gather(2, peak_BJ1)[..., 0]
            for place in (torch.ones_like(x), x, y)
        )
        points_BJ2 = torch.stack((x_BJ, y_BJ), -1) / mass_BJ.clamp(min=1e-12)[..., None] * self.decoder.stride
        return {"points": points_BJ2, "scores": mass_BJ}

    def metrics(self) -> KeypointMetrics:
        return KeypointMetrics(self.task, self.tolerance)


def gaussian_targets(points_BJ2: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """A Gaussian around every point, [B,J,h,w], summing to 1 over the map.

    Args:
        points_BJ2: x and y in cells.
        height: h.
        width: w.
        sigma: standard deviation in cells.
    """
    x_BJw, y_BJh = (
        # a softmax, so that a narrow Gaussian between two cells does not vanish
        (
            -((torch.arange(size, device=points_BJ2.device) + 0.5 - points_BJ2[..., axis, None]) ** 2) / (2 * sigma**2)
        ).softmax(-1)
        for axis, size in enumerate((width, height))
    )
    return y_BJh[..., :, None] * x_BJw[..., None, :]
