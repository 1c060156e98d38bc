"""Pixels of more than 8 bits: 16-bit, 32-bit and float pictures as 8-bit ones, by the range of their values.

Such files rarely use the whole range: cameras store 12 bits in 16, microscopes 32-bit integers, and other programs
floats of 0 to 1. One range for a data set keeps the brightness of pictures comparable; one for each picture would not.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PixelRange = tuple[float, float]  # the values that become black and white
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_OF_FLOATS, _OF_INTEGERS = (0.0, 255.0), (0.0, 65536.0)


def to_8_bit(image: Image.Image, pixel_range: PixelRange | None) -> Image.Image:
    """A picture of one of `DEEP_MODES` as grey of 8 bits; what is not a number becomes black.

    Args:
        image: the picture.
        pixel_range: the values that become black and white; by default 0 and 65535, and 0 and 255 for floats.
    """
    if pixel_range is None and image.mode != "F":
        # Pillow would clip 16-bit values at 255 instead of dividing
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    low, high = pixel_range or _OF_FLOATS
    scaled = (np.asarray(image).astype(np.float64) - low) * (255 / (high - low))
    return Image.fromarray(np.nan_to_num(scaled, posinf=255.0).round().clip(0, 255).astype(np.uint8))


def fits_default_range(values: NDArray[np.float64], mode: str) -> bool:
    """Whether pictures with these values are neither nearly black nor nearly white in the default range.

    Args:
        values: some values of the pictures, at least one of them finite.
        mode: Pillow's mode.
    """
    low, high = _OF_FLOATS if mode == "F" else _OF_INTEGERS
    most = values[np.isfinite(values)].max()
    return bool(low + (high - low) / 16 <= most <= high)


def likely_range(values: NDArray[np.float64], mode: str) -> list[float]:
    """The range that values were probably stored in: from 0 to a power of two less one, or to 1.

    Args:
        values: some values of the pictures, at least one of them finite.
        mode: Pillow's mode.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if mode == "F" and high <= 1:
        return [min(0.0, math.floor(low)), 1.0]
    high = 2.0 ** math.ceil(math.log2(max(high, 1) + 1)) - 1
    return [0.0 if low >= 0 else float(math.floor(low)), high]
