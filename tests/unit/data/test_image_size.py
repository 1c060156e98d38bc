"""A size of pictures that no picture has is refused with what it may be."""

import pytest

from mtl.data.folder.voc_folder import VOCFolder
from mtl.data.image_size import checked_size


def test_height_and_width_are_whole_pixels() -> None:
    assert checked_size([48, 64]) == (48, 64)


@pytest.mark.parametrize("size", [(0, 64), (64, 0), (-1, 64), (20_000, 20_000), (10**20, 1)])
def test_other_sizes_are_refused_before_a_picture_is_read(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"image_size=\[{size[0]}, {size[1]}\] must be the height and width"):
        VOCFolder("nowhere", ["cat"], image_size=size)
