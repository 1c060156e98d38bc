"""Cells and their assigned boxes, against a slow loop written from the paper."""

import pytest
import torch
from torch import Tensor

from mtl.functional.dense_targets import assign_cells, cell_centers, centerness, size_ranges


def test_centres_lie_half_a_stride_inside() -> None:
    cells = cell_centers([torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 1, 1)], [4, 16])
    assert cells.tolist() == [[2, 2, 4], [6, 2, 4], [10, 2, 4], [2, 6, 4], [6, 6, 4], [10, 6, 4], [8, 8, 16]]


def test_ranges_leave_no_gap_between_levels() -> None:
    cells = torch.tensor([[0.0, 0, 8], [0, 0, 16], [0, 0, 32]])
    assert size_ranges(cells, [8, 16, 32], 8.0).tolist() == [[0, 64], [64, 128], [128, torch.inf]]
    assert size_ranges(cells[:1], [8], 8.0).tolist() == [[0, torch.inf]]


def slow_assignment(cells: Tensor, ranges: Tensor, boxes: Tensor, real: Tensor, radius: float) -> list[list[int]]:
    found = []
    for row in range(len(boxes)):
        found.append([])
        for (x, y, stride), (low, high) in zip(cells.tolist(), ranges.tolist(), strict=True):
            best, smallest = -1, float("inf")
            for index, (x1, y1, x2, y2) in enumerate(boxes[row].tolist()):
                sides = (x - x1, y - y1, x2 - x, y2 - y)
                inside = min(sides) > 0
                central = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < radius * stride
                fits = inside and central and low <= max(sides) < high and bool(real[row, index])
                if fits and (x2 - x1) * (y2 - y1) < smallest:
                    best, smallest = index, (x2 - x1) * (y2 - y1)
            found[-1].append(best)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius", [1.5, 100.0])
def test_equals_a_slow_loop_over_cells_and_boxes(seed: int, radius: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    cells = cell_centers([torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 8, 8)], [4, 8])
    ranges = size_ranges(cells, [4, 8], 4.0)
    corner = torch.rand(2, 6, 2, generator=generator) * 40
    boxes = torch.cat((corner, corner + 1 + torch.rand(2, 6, 2, generator=generator) * 40), -1)
    real = torch.rand(2, 6, generator=generator) < 0.7
    index, positive = assign_cells(cells, ranges, boxes, real, radius)
    found = torch.where(positive, index, -1).tolist()
    assert found == slow_assignment(cells, ranges, boxes, real, radius)
    assert positive.any()


def test_what_stands_at_padded_places_is_not_looked_at() -> None:
    cells = cell_centers([torch.zeros(1, 1, 4, 4)], [8])
    ranges = size_ranges(cells, [8], 8.0)
    boxes = torch.tensor([[[0.0, 0, 20, 20], [torch.nan, torch.inf, -5, torch.nan]]])
    real = torch.tensor([[True, False]])
    index, positive = assign_cells(cells, ranges, boxes, real, 1.5)
    assert (index[positive] == 0).all()
    assert positive.sum() == 4
    assert not assign_cells(cells, ranges, boxes, torch.zeros_like(real), 1.5)[1].any()


def test_centerness_is_one_in_the_middle_and_zero_on_the_edge() -> None:
    cells = torch.tensor([[5.0, 5, 1], [2, 5, 1], [0, 5, 1], [20, 5, 1]])
    boxes = torch.tensor([0.0, 0, 10, 10]).expand(1, 4, 4)
    torch.testing.assert_close(centerness(cells, boxes), torch.tensor([[1.0, 0.5, 0.0, 0.0]]))  # sqrt(2 / 8) = 0.5
