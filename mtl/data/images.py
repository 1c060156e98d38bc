"""Reading picture files: upright RGB, uint8, whatever the file holds (grey, palette, CMYK, 16 bit, EXIF orientation).

Pillow reads, and lets libjpeg decode at 1/2, 1/4 or 1/8 when the picture is made smaller anyway: as fast as
`torchvision.io.decode_image`, which torchvision 0.29 deprecates.
"""

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")
# the formats of these suffixes; Pillow starts no other decoder, whatever a file is called (the one for EPS runs
# ghostscript)
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 178_956_970  # of one picture; Pillow's own bound against decompression bombs, 512 MiB as RGB

SIDEWAYS = (5, 6, 7, 8)  # values of the EXIF orientation that swap width and height

_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_SIZE = (256, 257)  # the tags of width and height
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L")
# what decoders raise on damaged files
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class PictureTooLarge(ValueError):
    """A picture of more pixels than the limit."""


@dataclass(frozen=True)
class Header:
    """What the first bytes of a picture file say.

    Args:
        height: of the upright picture, in pixels.
        width: of the upright picture, in pixels.
        mode: Pillow's word for the pixels: `RGB`, `L` for grey, `CMYK`, ...
        orientation: EXIF orientation, 1 to 8; 1 is upright.
    """

    height: int
    width: int
    mode: str
    orientation: int


def read_header(path: str | Path, max_pixels: int | None = None) -> Header:
    """Size and form of a picture without decoding it.

    Args:
        path: the file.
        max_pixels: most pixels (height times width) of the picture; `MAX_PIXELS` by default.

    Raises:
        ValueError: if this is no picture, or a larger one than the limit.
    """
    with _opened(path, max_pixels) as image:
        orientation = _orientation(image)
        width, height = _stored_size(image)
        mode = image.mode
    if orientation in SIDEWAYS:
        width, height = height, width
    return Header(height, width, mode, orientation)


def read_image(path: str | Path, at_least: tuple[int, int] | None = None, max_pixels: int | None = None) -> Tensor:
    """One picture, upright, as RGB.

    Args:
        path: the file.
        at_least: height and width in pixels that are enough; a JPEG may then come at 1/2, 1/4 or 1/8 of its size.
        max_pixels: most pixels (height times width) of the file's picture; `MAX_PIXELS` by default.

    Returns:
        uint8 [3,H,W].

    Raises:
        ValueError: if the file cannot be decoded, with the two ways out, or if it is larger than the limit.
    """
    with _opened(path, max_pixels) as image:
        orientation = _orientation(image)
        if at_least is not None and image.format == "JPEG" and image.mode == "RGB":
            image.draft("RGB", at_least if orientation in SIDEWAYS else at_least[::-1])
        pixels = np.array(_rgb(_upright(image, orientation)))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_indices(path: str | Path, max_pixels: int | None = None) -> Tensor:
    """A map of class indices as it is stored: one channel, or the indices of a palette.

    Args:
        path: the file.
        max_pixels: most pixels of the map; `MAX_PIXELS` by default.

    Returns:
        The numbers of the file, [H,W].

    Raises:
        ValueError: if the file cannot be decoded, or if it is larger than the limit.
    """
    with _opened(path, max_pixels) as image:
        return torch.from_numpy(np.array(image))


def turn_boxes(boxes: NDArray[np.float64], orientation: int, height: int, width: int) -> NDArray[np.float64]:
    """Boxes on the pixels as they are stored, on the upright picture.

    Args:
        boxes: xyxy px, [n,4].
        orientation: EXIF orientation, 1 to 8.
        height: of the stored picture in pixels.
        width: of the stored picture in pixels.

    Returns:
        xyxy px of the upright picture, [n,4].
    """
    x0, y0, x1, y1 = boxes.T
    if orientation in (2, 3, 7, 8):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 6, 7):
        y0, y1 = height - y1, height - y0
    return np.stack((y0, x0, y1, x1) if orientation in SIDEWAYS else (x0, y0, x1, y1), -1)


def undecodable(path: str | Path, error: Exception) -> ValueError:
    """The error for a file that is no readable picture.

    Args:
        path: the file.
        error: what the decoder said.
    """
    said = str(error) or "no reason given"
    if isinstance(error, UnidentifiedImageError):
        said = f"this is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    return ValueError(
        f"picture {str(path)!r} cannot be decoded ({type(error).__name__}: {said}). "
        "Replace the file, or take its name out of the split (or its file out of the folder)."
    )


@contextmanager
def _opened(path: str | Path, max_pixels: int | None) -> Iterator[Image.Image]:
    """An open picture of a known format and a bearable size; whatever goes wrong inside names the file."""
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        with _OWN_LIMIT, _open(path) as image:
            width, height = image.size
            if width * height > limit:
                raise PictureTooLarge(
                    f"picture {str(path)!r} has {width} x {height} pixels, {width * height:,} in all; the limit is "
                    f"{limit:,}. Make the picture smaller, take it out of the data, or raise `max_pixels`."
                )
            yield image
    except PictureTooLarge:
        raise
    except _DAMAGE as error:
        raise undecodable(path, error) from error


def _open(path: str | Path) -> Image.Image:
    try:
        return Image.open(path, formats=FORMATS)
    except UserWarning:
        # about broken metadata, which matter to nobody here, from a process that makes errors of warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(path, formats=FORMATS)


class _NoPillowLimit:
    """Switches Pillow's own limit off while a picture is read: it warns, names no file, and is the whole process's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._before: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                Image.MAX_IMAGE_PIXELS = self._before


_OWN_LIMIT = _NoPillowLimit()


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        # Pillow would decode the whole file to look behind the pixels, where no camera writes it
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001, broken EXIF says nothing, and its parser stumbles in many ways
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the pixels as they lie in the file."""
    tags = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags is not None:
        # Pillow swaps the two for a sideways TIFF
        width, height = (int(tags[tag]) for tag in _TIFF_SIZE)
        return width, height
    return image.size


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    # not by `ImageOps.exif_transpose`, which writes the EXIF anew and fails on what cameras and editors leave in it
    image.load()
    # Pillow turns a TIFF while it loads, and takes the tag away
    if orientation == 1 or _orientation(image) != orientation:
        return image
    return image.transpose(_TURNS[orientation])


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        # Pillow clips 16 bits at 255 where it should divide
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
