"""The size of a network's input pictures, as a config gives it."""

from collections.abc import Sequence

from mtl.data.images import MAX_PIXELS


def checked_size(size: Sequence[int]) -> tuple[int, int]:
    """Height and width.

    Args:
        size: height and width in pixels, as written.

    Raises:
        ValueError: for a side below 1, or more pixels than a picture may have.
    """
    height, width = int(size[0]), int(size[1])
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise ValueError(
            f"image_size=[{height}, {width}] must be the height and width of the network's input in pixels, each at "
            f"least 1, and at most {MAX_PIXELS:,} pixels together."
        )
    return height, width
