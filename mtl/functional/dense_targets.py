"""Cells of a feature pyramid, and which object each of them has to find.

Source: Tian, Shen, Chen, He, "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019, arXiv:1904.01355, with
the centre sampling of the authors' later code.
Shapes: B images, P cells of all levels, M padded boxes.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def cell_centers(maps: Sequence[Tensor], strides: Sequence[int]) -> Tensor:
    """Centre and stride of every cell, in pixels; cell (0, 0) of stride 8 has its centre at (4, 4).

    Args:
        maps: one map [B,C,H,W] of each level.
        strides: pixels per cell of each level.

    Returns:
        x, y and stride of every cell, level after level and row after row, float32 [P,3].
    """
    cells = []
    for level, stride in zip(maps, strides, strict=True):
        y, x = ((torch.arange(size, device=level.device) + 0.5) * stride for size in level.shape[-2:])
        grid = torch.meshgrid(y, x, indexing="ij")
        cells.append(torch.stack((grid[1].flatten(), grid[0].flatten(), torch.full_like(grid[0].flatten(), stride)), 1))
    return torch.cat(cells)


def size_ranges(cells_P3: Tensor, strides: Sequence[int], factor: float) -> Tensor:
    """Which distances to the sides of its box a cell may have to predict.

    A level ends at `factor` strides, where the next one begins; the first begins at 0 and the last never ends.

    Args:
        cells_P3: what `cell_centers` returned.
        strides: pixels per cell of each level, rising.
        factor: end of a level in strides; the paper's 64 px at stride 8 is 8.

    Returns:
        Lower and upper limit in pixels, [P,2].
    """
    low_P, high_P = torch.zeros_like(cells_P3[:, 2]), torch.full_like(cells_P3[:, 2], torch.inf)
    for finer, coarser in pairwise(strides):
        low_P = torch.where(cells_P3[:, 2] == coarser, factor * finer, low_P)
        high_P = torch.where(cells_P3[:, 2] == finer, factor * finer, high_P)
    return torch.stack((low_P, high_P), 1)


def assign_cells(
    cells_P3: Tensor, ranges_P2: Tensor, boxes_BM4: Tensor, real_BM: Tensor, center_radius: float
) -> tuple[Tensor, Tensor]:
    """The object of every cell: the smallest of the boxes that it fits.

    A cell fits a box if it lies inside, at most `center_radius` strides from the box's centre in x and y, and if the
    farthest side of the box is within the level's range.

    Args:
        cells_P3: x, y and stride of every cell, [P,3].
        ranges_P2: limits of the farthest side, lower one included, [P,2].
        boxes_BM4: xyxy px; what stands at padded places is not looked at, [B,M,4].
        real_BM: which boxes are objects, [B,M].
        center_radius: in strides.

    Returns:
        Index of the box of every cell, [B,P] (0 where there is none), and which cells have one, bool [B,P].
    """
    boxes_B1M4 = torch.where(real_BM[..., None], boxes_BM4, 0.0)[:, None]
    half_B1M2 = (boxes_B1M4[..., 2:] - boxes_B1M4[..., :2]) / 2
    center_B1M2 = boxes_B1M4[..., :2] + half_B1M2
    x_P1, y_P1, stride_P1 = cells_P3[:, None].unbind(-1)
    # the two sides along x are half the width less and plus the distance to the centre: half the work of four sides
    dx_BPM, dy_BPM = (x_P1 - center_B1M2[..., 0]).abs(), (y_P1 - center_B1M2[..., 1]).abs()
    nearest_BPM = torch.minimum(half_B1M2[..., 0] - dx_BPM, half_B1M2[..., 1] - dy_BPM)
    farthest_BPM = torch.maximum(half_B1M2[..., 0] + dx_BPM, half_B1M2[..., 1] + dy_BPM)
    fits_BPM = (nearest_BPM > 0) & (torch.maximum(dx_BPM, dy_BPM) < center_radius * stride_P1)
    fits_BPM &= (farthest_BPM >= ranges_P2[:, :1]) & (farthest_BPM < ranges_P2[:, 1:]) & real_BM[:, None]
    area_BPM = torch.where(fits_BPM, 4 * half_B1M2.prod(-1), torch.inf)
    smallest_BP, index_BP = area_BPM.min(-1)
    return index_BP, torch.isfinite(smallest_BP)


def centerness(cells_P3: Tensor, boxes_BP4: Tensor) -> Tensor:
    """How central a cell lies in its box: 1 in the middle, 0 on the edge and outside (eq. 3).

    Args:
        cells_P3: x, y and stride of every cell, [P,3].
        boxes_BP4: the box of every cell, xyxy px, [B,P,4].
    """
    low_BP2 = cells_P3[:, :2] - boxes_BP4[..., :2]
    high_BP2 = boxes_BP4[..., 2:] - cells_P3[:, :2]
    ratio_BP2 = torch.minimum(low_BP2, high_BP2).clamp(min=0) / torch.maximum(low_BP2, high_BP2).clamp(min=1e-6)
    return ratio_BP2.prod(-1).sqrt()
