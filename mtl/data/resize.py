"""Resize pictures of any size to the network's input size, with the exact mapping back to the pixels of the file.

`to_original` is scale x, scale y, offset x, offset y with original = pixel * scale + offset, as in `mtl.batch`.
Shapes: N boxes.
"""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from mtl.data.deep_pixels import PixelRange
from mtl.data.images import read_to_fit

FitMode = Literal["letterbox", "stretch"]

FILL = 114  # grey of the letterbox bars, near the mean of natural pictures


def fit_geometry(
    original: tuple[int, int], size: tuple[int, int], mode: FitMode = "letterbox"
) -> tuple[tuple[int, int], tuple[int, int], Tensor]:
    """Position of a resized picture on the canvas.

    Args:
        original: height and width of the picture in its file.
        size: height and width of the canvas.
        mode: `letterbox` keeps the proportions and centres the picture between grey bars, `stretch` fills the canvas.

    Returns:
        Height and width after resizing, its top and left position on the canvas, and `to_original` [4].
    """
    (height, width), (canvas_height, canvas_width) = original, size
    new_height, new_width = canvas_height, canvas_width
    if mode == "letterbox":
        scale = min(canvas_height / height, canvas_width / width)
        new_height = min(canvas_height, max(1, round(height * scale)))
        new_width = min(canvas_width, max(1, round(width * scale)))
    top, left = (canvas_height - new_height) // 2, (canvas_width - new_width) // 2
    # from the rounded sizes, so that the mapping is exact
    scale_x, scale_y = width / new_width, height / new_height
    return (new_height, new_width), (top, left), torch.tensor([scale_x, scale_y, -left * scale_x, -top * scale_y])


def fit_image(
    image: Tensor, size: tuple[int, int], mode: FitMode = "letterbox", original: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """Resize one picture onto a canvas of fixed size.

    Args:
        image: uint8 [3,H,W].
        size: height and width of the canvas.
        mode: `letterbox` or `stretch`.
        original: height and width in the file, if `image` was decoded at a smaller size.

    Returns:
        The canvas, uint8 [3,*size], and `to_original` [4].
    """
    resized, (top, left), to_original = fit_geometry(original or _size(image), size, mode)
    if _size(image) != resized:
        image = F.resize(image, list(resized), antialias=True)
    return _place(image, size, top, left, FILL), to_original


def read_fitted(
    path: str | Path,
    size: tuple[int, int],
    mode: FitMode = "letterbox",
    max_pixels: int | None = None,
    pixel_range: PixelRange | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Read one picture onto a canvas of fixed size, as in training; for inference on a folder.

    Args:
        path: the file.
        size: height and width of the canvas.
        mode: `letterbox` or `stretch`.
        max_pixels: maximum number of pixels in the file; `mtl.data.images.MAX_PIXELS` by default.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white.

    Returns:
        The canvas, uint8 [3,*size]; height and width of the upright picture in its file [2]; `to_original` [4].

    Raises:
        ValueError: if the file cannot be decoded, or exceeds the limit.
    """
    image, header = read_to_fit(
        path, lambda height, width: fit_geometry((height, width), size, mode)[0], max_pixels, pixel_range
    )
    original = header.height, header.width
    image, to_original = fit_image(image, size, mode, original)
    return image, torch.tensor(original), to_original


def fit_mask(mask: Tensor, size: tuple[int, int], mode: FitMode = "letterbox", fill: float = 0) -> Tensor:
    """Resize a map of class indices or numbers like its picture in `fit_image`, without mixing values.

    Args:
        mask: [...,H,W].
        size: height and width of the canvas.
        mode: `letterbox` or `stretch`.
        fill: value outside the picture.

    Returns:
        The map [...,*size].
    """
    resized, (top, left), _ = fit_geometry(_size(mask), size, mode)
    mask = F.resize(mask[None], list(resized), interpolation=InterpolationMode.NEAREST_EXACT)[0]
    return _place(mask, size, top, left, fill)


def boxes_from_original(boxes: Tensor, to_original: Tensor) -> Tensor:
    """Boxes of the file in pixels of the canvas: the inverse of `overlay.boxes_to_original` for one picture.

    Args:
        boxes: xyxy in pixels of the file, [N,4].
        to_original: scale x, scale y, offset x, offset y, [4].
    """
    scale, offset = to_original[:2].repeat(2), to_original[2:].repeat(2)
    return (boxes - offset) / scale


def _size(image: Tensor) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])


def _place(image: Tensor, size: tuple[int, int], top: int, left: int, fill: float) -> Tensor:
    if _size(image) == tuple(size):
        return image
    canvas = image.new_full((*image.shape[:-2], *size), fill)
    canvas[..., top : top + image.shape[-2], left : left + image.shape[-1]] = image
    return canvas
