"""Exact k-means in one dimension: groups are runs of the sorted numbers, so dynamic programming finds the best ones.

No random start, no iteration until convergence, no GPU sync; meant for few numbers, one per task.
Source: Wang, Song, "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension by Dynamic Programming", R Journal 2011.
Shapes: N numbers.
"""

import torch
from torch import Tensor


def kmeans_1d(values_N: Tensor, num_groups: int) -> Tensor:
    """The centre of each number's group, [N].

    Args:
        values_N: the numbers, [N].
        num_groups: number of groups; with at most this many numbers, each number is its own group.
    """
    num = len(values_N)
    if num <= num_groups:
        return values_N.clone()
    sorted_N, order_N = values_N.sort()
    offset = sorted_N.mean()
    sum_M = _prefix_sums(sorted_N - offset)
    square_M = _prefix_sums((sorted_N - offset) ** 2)
    length_MM = torch.arange(num + 1, device=values_N.device)
    length_MM = length_MM[None] - length_MM[:, None]  # length of the run from row to column
    mean_MM = (sum_M[None] - sum_M[:, None]) / length_MM.clamp_min(1)
    cost_MM = square_M[None] - square_M[:, None] - mean_MM**2 * length_MM
    cost_MM = torch.where(length_MM > 0, cost_MM, torch.full_like(cost_MM, torch.inf))
    best_M = cost_MM[0]
    starts = [torch.zeros_like(length_MM[0])]
    for _ in range(1, num_groups):
        best_M, start_M = (best_M[:, None] + cost_MM).min(0)
        starts.append(start_M)
    position_N = torch.arange(num, device=values_N.device)
    centers_N = torch.zeros_like(sorted_N)
    end = torch.full((1,), num, device=values_N.device)
    for start_M in reversed(starts):
        # not start_M[end]: indexing by one number syncs with the host
        start = start_M.index_select(0, end)
        center = mean_MM.flatten().index_select(0, start * (num + 1) + end) + offset
        centers_N = torch.where((position_N >= start) & (position_N < end), center, centers_N)
        end = start
    return torch.empty_like(centers_N).scatter(0, order_N, centers_N)


def _prefix_sums(values_N: Tensor) -> Tensor:
    return torch.cat((values_N.new_zeros(1), values_N.cumsum(0)))
