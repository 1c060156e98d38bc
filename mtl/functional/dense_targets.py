"""Cells of a feature pyramid, and the object assigned to each cell.

Source: Tian, Shen, Chen, He, "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019, arXiv:1904.01355; the
centre sampling is from the authors' later code.
Shapes: B images, P cells of all levels, M padded boxes.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor


def cell_centers(maps: Sequence[Tensor], strides: Sequence[int]) -> Tensor:
    """Centre and stride of each cell, in pixels; cell (0, 0) of stride 8 has its centre at (4, 4).

    Args:
        maps: one feature map [B,C,H,W] per level.
        strides: pixels per cell of each level.

    Returns:
        x, y and stride of each cell, ordered by level, then by row, float32 [P,3].
    """
    cells = []
    for level, stride in zip(maps, strides, strict=True):
        y, x = ((torch.arange(size, device=level.device) + 0.5) * stride for size in level.shape[-2:])
        grid = torch.meshgrid(y, x, indexing="ij")
        cells.append(torch.stack((grid[1].flatten(), grid[0].flatten(), torch.full_like(grid[0].flatten(), stride)), 1))
    return torch.cat(cells)


def size_ranges(cells_P3: Tensor, strides: Sequence[int], factor: float) -> Tensor:
    """Range of distances from a cell to the sides of its box that the cell's level predicts.

    A level's range ends at `factor` strides, where the next level's begins. The first range begins at 0, the last has
    no upper limit.

    Args:
        cells_P3: result of `cell_centers`.
        strides: pixels per cell of each level, ascending.
        factor: end of a level's range in strides; the paper's 64 px at stride 8 is 8.

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
    """Assign a box to each cell: the smallest box that the cell fits.

    A cell fits a box if it lies inside it, less than `center_radius` strides from its centre in x and y, and the
    distance to the box's farthest side is within the level's range.

    Args:
        cells_P3: x, y and stride of each cell, [P,3].
        ranges_P2: limits of the distance to the farthest side, lower limit included, [P,2].
        boxes_BM4: xyxy px, [B,M,4]; values at padded places are ignored.
        real_BM: which boxes are objects, bool [B,M].
        center_radius: in strides.

    Returns:
        Index of each cell's box, [B,P] (0 for cells without a box), and which cells have a box, bool [B,P].
    """
    boxes_B1M4 = torch.where(real_BM[..., None], boxes_BM4, 0.0)[:, None]
    half_B1M2 = (boxes_B1M4[..., 2:] - boxes_B1M4[..., :2]) / 2
    center_B1M2 = boxes_B1M4[..., :2] + half_B1M2
    x_P1, y_P1, stride_P1 = cells_P3[:, None].unbind(-1)
    # distances to the two sides along x are half the width -/+ the distance to the centre: half the work of four sides
    dx_BPM, dy_BPM = (x_P1 - center_B1M2[..., 0]).abs(), (y_P1 - center_B1M2[..., 1]).abs()
    nearest_BPM = torch.minimum(half_B1M2[..., 0] - dx_BPM, half_B1M2[..., 1] - dy_BPM)
    farthest_BPM = torch.maximum(half_B1M2[..., 0] + dx_BPM, half_B1M2[..., 1] + dy_BPM)
    fits_BPM = (nearest_BPM > 0) & (torch.maximum(dx_BPM, dy_BPM) < center_radius * stride_P1)
    fits_BPM &= (farthest_BPM >= ranges_P2[:, :1]) & (farthest_BPM < ranges_P2[:, 1:]) & real_BM[:, None]
    area_BPM = torch.where(fits_BPM, 4 * half_B1M2.prod(-1), torch.inf)
    smallest_BP, index_BP = area_BPM.min(-1)
    return index_BP, torch.isfinite(smallest_BP)


def centerness(cells_P3: Tensor, boxes_BP4: Tensor) -> Tensor:
    """Centre-ness of each cell in its box, [B,P]: 1 at the centre, 0 on the edge and outside (eq. 3).

    Args:
        cells_P3: x, y and stride of each cell, [P,3].
        boxes_BP4: the box of each cell, xyxy px, [B,P,4].
    """
    low_BP2 = cells_P3[:, :2] - boxes_BP4[..., :2]
    high_BP2 = boxes_BP4[..., 2:] - cells_P3[:, :2]
    ratio_BP2 = torch.minimum(low_BP2, high_BP2).clamp(min=0) / torch.maximum(low_BP2, high_BP2).clamp(min=1e-6)
    return ratio_BP2.prod(-1).sqrt()
