"""Reading picture files: upright RGB, uint8, whatever the file holds (grey, palette, CMYK, 16 bit, EXIF orientation).

Pillow reads, and lets libjpeg decode at 1/2, 1/4 or 1/8 when the picture is made smaller anyway: as fast as
`torchvision.io.decode_image`, which torchvision 0.29 deprecates.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")
_ORIENTATION = 0x0112  # the EXIF tag
_SIDEWAYS = (5, 6, 7, 8)  # its values that swap width and height
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True)
class Header:
    """What the first bytes of a picture file say.

    Args:
        height: of the upright picture, in pixels.
        width: of the upright picture, in pixels.
        mode: Pillow's word for the pixels: `RGB`, `L` for grey, `CMYK`, ...
        orientation: EXIF orientation; 1 is upright.
    """

    height: int
    width: int
    mode: str
    orientation: int


def read_header(path: str | Path) -> Header:
    """Size and form of a picture without decoding it.

    Args:
        path: the file.

    Raises:
        ValueError: if this is no picture.
    """
    try:
        with Image.open(path) as image:
            orientation = _orientation(image)
            width, height = image.size
            mode = image.mode
    except (OSError, SyntaxError, ValueError) as error:
        raise undecodable(path, error) from error
    if orientation in _SIDEWAYS:
        width, height = height, width
    return Header(height, width, mode, orientation)


def read_image(path: str | Path, at_least: tuple[int, int] | None = None) -> Tensor:
    """One picture, upright, as RGB.

    Args:
        path: the file.
        at_least: height and width in pixels that are enough; a JPEG may then come at 1/2, 1/4 or 1/8 of its size.

    Returns:
        uint8 [3,H,W].

    Raises:
        ValueError: if the file cannot be decoded, with the two ways out.
    """
    try:
        with Image.open(path) as image:
            orientation = _orientation(image)
            if at_least is not None and image.format == "JPEG" and image.mode == "RGB":
                image.draft("RGB", at_least if orientation in _SIDEWAYS else at_least[::-1])
            pixels = np.array(_rgb(image if orientation == 1 else ImageOps.exif_transpose(image)))
    except (OSError, SyntaxError, ValueError) as error:
        raise undecodable(path, error) from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def undecodable(path: str | Path, error: Exception) -> ValueError:
    """The error for a file that is no readable picture.

    Args:
        path: the file.
        error: what the decoder said.
    """
    return ValueError(
        f"picture {str(path)!r} cannot be decoded ({type(error).__name__}: {error}). "
        "Replace the file, or take its name out of the split (or its file out of the folder)."
    )


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        # Pillow would decode the whole file to look behind the pixels, where no camera writes it
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        # Pillow clips 16 bits at 255 where it should divide
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
