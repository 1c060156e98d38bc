"""Thinning keeps what is connected, and leaves lines of one pixel."""

import numpy as np
import pytest
from scipy import ndimage

from mtl.functional.thinning import thin


def test_a_thick_bar_becomes_its_middle_line() -> None:
    mask = np.zeros((7, 12), bool)
    mask[2:5, 1:11] = True
    thinned = thin(mask)
    assert (thinned.sum(0) <= 1).all()
    rows, columns = np.nonzero(thinned)
    assert set(rows.tolist()) == {3}
    assert columns.max() - columns.min() >= 6  # the ends lose a pixel or two each


def test_a_line_of_one_pixel_and_an_empty_picture_stay() -> None:
    line = np.zeros((5, 9), bool)
    line[2, 1:8] = True
    assert (thin(line) == line).all()
    assert not thin(np.zeros((3, 3), bool)).any()


@pytest.mark.parametrize("seed", range(4))
def test_pieces_and_holes_are_as_many_as_before(seed: int) -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(48, 64)), 2)
    mask = smooth > 0.05
    thinned = thin(mask)
    eight = np.ones((3, 3), int)
    assert ndimage.label(thinned, eight)[1] == ndimage.label(mask, eight)[1]
    # background is 4-connected where lines are 8-connected
    assert (
        ndimage.label(np.pad(~thinned, 1, constant_values=True))[1]
        == ndimage.label(np.pad(~mask, 1, constant_values=True))[1]
    )
    assert not (thinned & ~mask).any()
    assert (thin(thinned) == thinned).all()
    assert thinned.sum() < 0.4 * mask.sum()
