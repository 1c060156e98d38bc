"""Thin lines: a binary picture reduced to lines of one pixel that keep their ends and their connections.

Source: Guo, Hall, "Parallel Thinning with Two-Subiteration Algorithms", Communications of the ACM 32(3), 1989, A1.
Shapes: H x W pixels.
"""

import numpy as np
from numpy.typing import NDArray

# rows and columns from a pixel to its neighbours P2 to P9, clockwise from the north
_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def thin(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Lines of one pixel, 8-connected as the mask is.

    Args:
        mask_HW: bool; pixels outside the picture count as false.

    Returns:
        A part of the mask, bool [H,W].
    """
    padded = np.pad(mask_HW.astype(bool), 1)
    while True:
        before = int(padded.sum())
        for first in (True, False):
            padded[1:-1, 1:-1] &= ~_deletable(padded, first)
        if int(padded.sum()) == before:
            return padded[1:-1, 1:-1].copy()


def _deletable(padded: NDArray[np.bool_], first: bool) -> NDArray[np.bool_]:
    """Pixels that one of the two passes deletes; all are judged by the same picture."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    p2, p3, p4, p5, p6, p7, p8, p9 = (
        padded[1 + row : 1 + row + height, 1 + column : 1 + column + width] for row, column in _NEIGHBOURS
    )
    pairs = [(~p2, p3 | p4), (~p4, p5 | p6), (~p6, p7 | p8), (~p8, p9 | p2)]
    crossings = sum((side & corner).astype(np.int8) for side, corner in pairs)
    ones = sum((one | other).astype(np.int8) for one, other in ((p9, p2), (p3, p4), (p5, p6), (p7, p8)))
    others = sum((one | other).astype(np.int8) for one, other in ((p2, p3), (p4, p5), (p6, p7), (p8, p9)))
    near = np.minimum(ones, others)
    kept = (p6 | p7 | ~p9) & p8 if first else (p2 | p3 | ~p5) & p4
    deletable: NDArray[np.bool_] = (crossings == 1) & (near >= 2) & (near <= 3) & ~kept
    return deletable & padded[1:-1, 1:-1]
