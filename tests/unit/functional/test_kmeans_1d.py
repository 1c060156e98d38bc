"""Exact one-dimensional k-means, against all possible groupings."""

from itertools import combinations, pairwise

import pytest
import torch

from mtl.functional.kmeans_1d import kmeans_1d


def best_cost(values: torch.Tensor, num_groups: int) -> float:
    """The smallest sum of squares over every way to cut the sorted values into runs."""
    ordered, num = values.sort().values, len(values)
    costs = []
    for cuts in combinations(range(1, num), num_groups - 1):
        ends = [0, *cuts, num]
        runs = [ordered[start:end] for start, end in pairwise(ends)]
        costs.append(sum(float(((run - run.mean()) ** 2).sum()) for run in runs))
    return min(costs)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_groups", [1, 2, 3, 5])
def test_no_grouping_is_better(seed: int, num_groups: int) -> None:
    values = torch.randn(8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 + 100
    centers = kmeans_1d(values, num_groups)
    assert len(centers.unique()) == num_groups
    assert float(((values - centers) ** 2).sum()) == pytest.approx(best_cost(values, num_groups), rel=1e-8)


def test_clear_groups_are_found_in_any_order() -> None:
    values = torch.tensor([10.0, 1.0, 11.0, 2.0, 30.0])
    torch.testing.assert_close(kmeans_1d(values, 3), torch.tensor([10.5, 1.5, 10.5, 1.5, 30.0]))


def test_each_number_is_its_own_group_when_there_are_few() -> None:
    values = torch.tensor([3.0, 1.0])
    torch.testing.assert_close(kmeans_1d(values, 5), values)


def test_equal_numbers_stay_finite() -> None:
    torch.testing.assert_close(kmeans_1d(torch.full((6,), 2.0), 3), torch.full((6,), 2.0))
