"""Where the picture lies on the canvas of a batch, without the bars of a letterbox.

Cells of a map reach up to a stride over the edge of a canvas that the stride does not divide, and a head knows cells
only. `predict` cuts what it writes at the edge of the file, so metrics cut at the same place.
Shapes: B samples, M padded boxes, J points.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.functional.on_host import numbers_on
from mtl.targets.detection import PADDING_LABEL


def picture_edges(batch: Mapping[str, Tensor]) -> Tensor | None:
    """The picture on the canvas: xyxy px, float [B,4]; None where a batch does not say its size.

    Args:
        batch: a batch; `image` has the size of the canvas, `orig_size` and `to_original` the size of the file.
    """
    edges = None
    image = batch.get("image")
    if image is not None and image.ndim == 4:
        height, width = image.shape[-2:]
        edges = numbers_on(image.device, [0.0, 0.0, width, height], torch.float32).expand(len(image), 4)
    if "to_original" in batch and "orig_size" in batch:
        scale_B2, offset_B2 = batch["to_original"].float().split(2, -1)
        size_B2 = batch["orig_size"].float().flip(-1).to(scale_B2)
        first_B2, last_B2 = -offset_B2 / scale_B2, (size_B2 - offset_B2) / scale_B2
        if edges is not None:
            first_B2, last_B2 = first_B2.maximum(edges[:, :2]), last_B2.minimum(edges[:, 2:])
        edges = torch.cat((first_B2, last_B2), -1)
    return edges


def boxes_inside(predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detections cut at the edge of the picture; what lies outside becomes padding.

    Args:
        predictions: `boxes` xyxy px [B,M,4] and `labels` [B,M], among others.
        batch: the batch they were made of.
    """
    edges = picture_edges(batch)
    if edges is None:
        return dict(predictions)
    boxes = _between(predictions["boxes"], edges)
    real_BM = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    return {**predictions, "boxes": boxes, "labels": torch.where(real_BM, predictions["labels"], PADDING_LABEL)}


def points_inside(points_BJ2: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Points moved to the nearest place of the picture.

    Args:
        points_BJ2: x and y px.
        batch: the batch they were made of.
    """
    edges = picture_edges(batch)
    return points_BJ2 if edges is None else _between(points_BJ2, edges)


def _between(places: Tensor, edges_B4: Tensor) -> Tensor:
    """Places [B,N,2k] in pixels, no coordinate outside the edges."""
    low_B12, high_B12 = edges_B4.to(places)[:, None].split(2, -1)
    pairs = places.unflatten(-1, (-1, 2))
    inside: Tensor = pairs.maximum(low_B12[:, None]).minimum(high_B12[:, None]).flatten(-2)
    return inside
