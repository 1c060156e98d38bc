"""A perceptual hash of pictures, by which copies that were resized, compressed or made lighter are found.

The difference hash: is a pixel of the small grey picture brighter than its left neighbour? Here of 16 rows and columns,
not 8, so that pictures with a plain background do not all look alike.
Source: Krawetz, "Kind of Like That", hackerfactor.com, 2013.
Shapes: N, M pictures, D = 256 bits.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 16
_ROWS = 1024  # pictures compared with all others at a time
_GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601


def grey(image: Tensor) -> Tensor:
    """A picture as grey values 0..255, [H,W].

    Args:
        image: uint8 or float in 0..1, [C,H,W].
    """
    values = image.as_subclass(Tensor).float() * (1.0 if image.dtype == torch.uint8 else 255.0)
    if len(values) != 3:
        return values.mean(0)
    return (values * torch.tensor(_GREY)[:, None, None]).sum(0)


def difference_hash(grey_HW: Tensor) -> Tensor:
    """The hash of a picture, bool [D].

    Args:
        grey_HW: grey values.
    """
    small = F.adaptive_avg_pool2d(grey_HW[None], (SIDE, SIDE + 1))[0]
    return (small[:, 1:] > small[:, :-1]).flatten()


def near_pairs(first_ND: Tensor, second_MD: Tensor, most_bits: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of one picture of each side whose hashes differ in few bits: both indices, and how many bits.

    Args:
        first_ND: hashes, bool.
        second_MD: hashes, bool.
        most_bits: most bits that differ.
    """
    signs_DM = (second_MD.float() * 2 - 1).T
    for start in range(0, len(first_ND), _ROWS):
        rows = first_ND[start : start + _ROWS].float() * 2 - 1
        # equal bits add 1 to the product, others -1
        bits = (rows.shape[1] - rows @ signs_DM) / 2
        for i, j in (bits <= most_bits).nonzero().tolist():
            yield start + i, j, int(bits[i, j])
