"""Colour augmentation as one affine map of RGB per picture: drawn with the sample, applied to the batch on the device.

Brightness, contrast, saturation and hue are linear in the pixels, so one 3 x 4 matrix combines them.
Shapes: B pictures.
"""

import numpy as np
import torch
from torch import Tensor

# luma, in-phase and quadrature: hue is the angle of the last two, saturation their length
_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


def color_matrix(brightness: float, contrast: float, saturation: float, hue: float) -> Tensor:
    """The colour change as a matrix on (R, G, B, 1), pixels in 0..1.

    Args:
        brightness: factor on all pixels; 1 changes nothing.
        contrast: factor on the distance from middle grey; 1 changes nothing.
        saturation: factor on the distance of a pixel from its grey value; 0 gives a grey picture, 1 changes nothing.
        hue: rotation of the colour circle; 1 is a full turn, 0 changes nothing.

    Returns:
        The matrix, float32 [3,4].
    """
    cos, sin = saturation * np.cos(2 * np.pi * hue), saturation * np.sin(2 * np.pi * hue)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    matrix = brightness * contrast * (_YIQ_TO_RGB @ turn @ _RGB_TO_YIQ)
    offset = np.full((3, 1), brightness * 0.5 * (1 - contrast))
    return torch.from_numpy(np.concatenate([matrix, offset], 1)).float()


def apply_color(image: Tensor, matrix: Tensor) -> Tensor:
    """Change the colours of a batch.

    Args:
        image: uint8 in 0..255 or float in 0..1, [B,3,H,W].
        matrix: one colour matrix per picture, [B,3,4].

    Returns:
        The pictures, float in 0..1, [B,3,H,W].
    """
    pixels = image.float() / 255 if image.dtype == torch.uint8 else image
    flat = torch.baddbmm(matrix[..., 3:], matrix[..., :3], pixels.flatten(2))
    return flat.clamp_(0, 1).view_as(pixels)
