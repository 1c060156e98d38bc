"""Read picture files as upright RGB, uint8, from any mode (grey, palette, CMYK, 16 bit) and EXIF orientation.

Pillow is the reader. It lets libjpeg decode at 1/2, 1/4 or 1/8 size if the picture is resized to less anyway, which is
as fast as `torchvision.io.decode_image`, which torchvision 0.29 deprecates.
"""

import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from mtl.data.deep_pixels import DEEP_MODES, PixelRange, to_8_bit

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")
# formats of these suffixes; Pillow uses no other decoder, even for a misleading suffix (its EPS decoder runs
# ghostscript)
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 178_956_970  # per picture; Pillow's limit against decompression bombs, 512 MiB as RGB

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
_TIFF_SIZE = (256, 257)  # tags of width and height
# exceptions of decoders for damaged files
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
    """A picture has more pixels than the limit."""


@dataclass(frozen=True)
class Header:
    """Size and form of a picture, from the header of its file.

    Args:
        height: height of the upright picture in pixels.
        width: width of the upright picture in pixels.
        mode: Pillow's mode: `RGB`, `L` for grey, `CMYK`, ...
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
        max_pixels: maximum number of pixels (height times width); `MAX_PIXELS` by default.

    Raises:
        ValueError: if the file is not a picture, or exceeds the limit.
    """
    with _opened(path, max_pixels) as image:
        return _header(image)


def read_image(
    path: str | Path,
    at_least: tuple[int, int] | None = None,
    max_pixels: int | None = None,
    pixel_range: PixelRange | None = None,
) -> Tensor:
    """One picture, upright, as RGB.

    Args:
        path: the file.
        at_least: sufficient height and width in pixels; a JPEG may then be decoded at 1/2, 1/4 or 1/8 of its size.
        max_pixels: maximum number of pixels (height times width) in the file; `MAX_PIXELS` by default.
        pixel_range: values of 16-bit, 32-bit and float pictures that become black and white; the whole 16 bits by
            default, and 0 to 255 for floats.

    Returns:
        The picture, uint8 [3,H,W].

    Raises:
        ValueError: if the file cannot be decoded, or exceeds the limit.
    """
    with _opened(path, max_pixels) as image:
        return _pixels(image, _orientation(image), at_least, pixel_range)


def read_to_fit(
    path: str | Path,
    sufficient: Callable[[int, int], tuple[int, int]],
    max_pixels: int | None = None,
    pixel_range: PixelRange | None = None,
) -> tuple[Tensor, Header]:
    """As `read_image`, where the sufficient size follows from the picture's own; the file is opened once.

    Args:
        path: the file.
        sufficient: of the height and width of the upright picture: sufficient height and width in pixels.
        max_pixels: maximum number of pixels in the file; `MAX_PIXELS` by default.
        pixel_range: as of `read_image`.

    Returns:
        The picture, uint8 [3,H,W], and its header.

    Raises:
        ValueError: if the file cannot be decoded, or exceeds the limit.
    """
    with _opened(path, max_pixels) as image:
        header = _header(image)
        at_least = sufficient(header.height, header.width) if image.format == "JPEG" else None
        return _pixels(image, header.orientation, at_least, pixel_range), header


def check_image(path: str | Path, max_pixels: int | None = None) -> None:
    """Decode a picture as `read_image` does, and forget it: a large one takes a third of the memory.

    Args:
        path: the file.
        max_pixels: maximum number of pixels; `MAX_PIXELS` by default.

    Raises:
        ValueError: if the file cannot be decoded, or exceeds the limit.
    """
    with _opened(path, max_pixels) as image:
        _rgb(_upright(image, _orientation(image)), None)


def read_values(path: str | Path, max_pixels: int | None = None) -> NDArray[np.float64]:
    """The stored numbers of a picture.

    Args:
        path: the file.
        max_pixels: maximum number of pixels; `MAX_PIXELS` by default.

    Raises:
        ValueError: if the file cannot be decoded, or exceeds the limit.
    """
    with _opened(path, max_pixels) as image:
        return np.asarray(_upright(image, _orientation(image))).astype(np.float64)


def read_indices(path: str | Path, max_pixels: int | None = None, colors: bool = False) -> NDArray[np.int64]:
    """A map of class indices: one channel, several equal ones, or the indices of a palette, upright as its picture.

    Args:
        path: the file.
        max_pixels: maximum number of pixels; `MAX_PIXELS` by default.
        colors: read colours in place of numbers.

    Returns:
        The stored numbers, [H,W]; of colours red * 65536 + green * 256 + blue.

    Raises:
        ValueError: if the file cannot be decoded, exceeds the limit, or holds colours or fractions, and not numbers.
    """
    with _opened(path, max_pixels) as image:
        upright = _upright(image, _orientation(image))
        stored = np.array(upright.convert("RGB") if colors else upright)
        mode = upright.mode
    if colors:
        red, green, blue = (stored[..., channel].astype(np.int64) for channel in range(3))
        return red * 65536 + green * 256 + blue
    if stored.ndim == 3:  # the last one of LA and RGBA is transparency
        channels = stored[..., : 1 if stored.shape[-1] == 2 else 3]
        if (channels != channels[..., :1]).any():
            raise ValueError(
                f"map {str(path)!r} is a picture of colours (mode {mode}), where the number of a class is expected in "
                "every pixel. Name the colours of each class: groups: {road: [[128, 64, 128]], sky: [[70, 130, 180]]}."
            )
        stored = channels[..., 0]
    numbers = stored.astype(np.int64)
    if (stored.dtype.kind == "f" and (numbers != stored).any()) or numbers.min(initial=0) < 0:
        raise ValueError(
            f"map {str(path)!r} (mode {mode}) holds fractions or numbers below 0, where the number of a class is "
            "expected in every pixel. Is it a map of another kind, such as depth?"
        )
    return numbers


def turn_boxes(boxes: NDArray[np.float64], orientation: int, height: int, width: int) -> NDArray[np.float64]:
    """Convert boxes from stored pixels to the upright picture.

    Args:
        boxes: xyxy px of the stored picture, [n,4].
        orientation: EXIF orientation, 1 to 8.
        height: height of the stored picture in pixels.
        width: width of the stored picture in pixels.

    Returns:
        Boxes, xyxy px of the upright picture, [n,4].
    """
    x0, y0, x1, y1 = boxes.T
    if orientation in (2, 3, 7, 8):
        x0, x1 = width - x1, width - x0
    if orientation in (3, 4, 6, 7):
        y0, y1 = height - y1, height - y0
    return np.stack((y0, x0, y1, x1) if orientation in SIDEWAYS else (x0, y0, x1, y1), -1)


def undecodable(path: str | Path, error: Exception) -> ValueError:
    """The error for a file that cannot be decoded.

    Args:
        path: the file.
        error: exception of the decoder.
    """
    reason = str(error) or "no reason given"
    if isinstance(error, UnidentifiedImageError):
        reason = f"the format is not {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    return ValueError(
        f"picture {str(path)!r} cannot be decoded ({type(error).__name__}: {reason}). "
        "Replace the file, or remove its name from the split (or the file from the folder)."
    )


@contextmanager
def _opened(path: str | Path, max_pixels: int | None) -> Iterator[Image.Image]:
    """An open picture of a known format within the size limit; errors inside the context name the file."""
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        _check_file(path)
        with _OWN_LIMIT, _open(path) as image:
            width, height = image.size
            if width * height > limit:
                raise PictureTooLarge(
                    f"picture {str(path)!r} has {width} x {height} = {width * height:,} pixels; the limit is "
                    f"{limit:,}. Make the picture smaller, remove it from the data, or raise `max_pixels`."
                )
            yield image
    except PictureTooLarge:
        raise
    except _DAMAGE as error:
        raise undecodable(path, error) from error


def _check_file(path: str | Path) -> None:
    """Refuse what Pillow would wait for, as for a pipe, or say little about."""
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        raise OSError("it is no regular file")
    if not state.st_size:
        raise OSError("the file is empty")


def _open(path: str | Path) -> Image.Image:
    try:
        return Image.open(path, formats=FORMATS)
    except UserWarning:
        # broken metadata, which is not used here, in a process that turns warnings into errors
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(path, formats=FORMATS)


class _NoPillowLimit:
    """Disables Pillow's limit while a picture is read: it only warns, names no file, and is global to the process."""

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


def _header(image: Image.Image) -> Header:
    orientation = _orientation(image)
    width, height = _stored_size(image)
    if orientation in SIDEWAYS:
        width, height = height, width
    return Header(height, width, image.mode, orientation)


def _pixels(
    image: Image.Image, orientation: int, at_least: tuple[int, int] | None, pixel_range: PixelRange | None
) -> Tensor:
    """Uint8 [3,H,W], upright."""
    if at_least is not None and image.format == "JPEG" and image.mode == "RGB":
        image.draft("RGB", at_least if orientation in SIDEWAYS else at_least[::-1])
    return torch.from_numpy(np.array(_rgb(_upright(image, orientation), pixel_range))).permute(2, 0, 1).contiguous()


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        # Pillow would decode the whole file to find EXIF after the pixels, where no camera writes it
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001, the parser raises many exceptions for broken EXIF
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the stored pixels."""
    tags = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags is not None:
        # for a sideways TIFF, Pillow's `size` is swapped
        width, height = (int(tags[tag]) for tag in _TIFF_SIZE)
        return width, height
    return image.size


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    # not `ImageOps.exif_transpose`: it rewrites the EXIF data and fails on data from some cameras and editors
    image.load()
    # for a TIFF, `load` rotates the picture and removes the tag
    if orientation == 1 or _orientation(image) != orientation:
        return image
    return image.transpose(_TURNS[orientation])


def _rgb(image: Image.Image, pixel_range: PixelRange | None) -> Image.Image:
    if image.mode in DEEP_MODES:
        return to_8_bit(image, pixel_range).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
