"""A hash that survives what happens to copies of a picture."""

import pytest
import torch

from mtl.data.picture_hash import SIDE, difference_hash, grey, near_pairs


def test_a_slope_has_the_bits_of_its_direction() -> None:
    ramp = torch.arange(SIDE + 1.0).expand(SIDE, -1)
    assert difference_hash(ramp).all()
    assert not difference_hash(ramp.flip(1)).any()


def test_a_lighter_and_larger_copy_has_the_same_hash_and_another_picture_has_not() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, SIDE, SIDE + 1, generator=generator) * 100
    copy = (one * 1.5 + 20).repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert torch.equal(difference_hash(one), difference_hash(copy))
    assert int((difference_hash(one) != difference_hash(other)).sum()) > 64


def test_pairs_are_those_of_a_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.rand(n, 256, generator=generator) > 0.5 for n in (5, 4))
    second[2] = first[3]
    second[2, :7] ^= True
    wanted = [
        (i, j, int((first[i] != second[j]).sum()))
        for i in range(5)
        for j in range(4)
        if (first[i] != second[j]).sum() <= 120
    ]
    assert list(near_pairs(first, second, 120)) == wanted
    assert list(near_pairs(first, second, 7)) == [(3, 2, 7)]
    assert list(near_pairs(first, second, 6)) == []


@pytest.mark.parametrize(("channels", "value"), [(1, 200.0), (3, 200.0), (4, 200.0)])
def test_grey_of_any_number_of_channels_and_type(channels: int, value: float) -> None:
    image = torch.full((channels, 2, 3), 200, dtype=torch.uint8)
    for one in (image, image.float() / 255):
        torch.testing.assert_close(grey(one), torch.full((2, 3), value))
