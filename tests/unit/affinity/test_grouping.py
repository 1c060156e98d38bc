"""The best groups against a search of all partitions, and what is refused."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from mtl.affinity.grouping import group_tasks


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for index, group in enumerate(rest):
            yield [*rest[:index], [items[0], *group], *rest[index + 1 :]]


def total(values: Tensor, groups: list[list[int]], alone: float) -> float:
    found = 0.0
    for group in groups:
        for task in group:
            others = [float(values[other, task]) for other in group if other != task]
            found += sum(others) / len(others) if others else alone
    return found


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("networks", [1, 2, 3, 6])
def test_no_partition_is_better(seed: int, networks: int) -> None:
    values = torch.randn(6, 6, generator=torch.Generator().manual_seed(seed))
    groups, found = group_tasks(values, networks, alone=0.1)
    best = max(total(values, g, 0.1) for g in partitions(list(range(6))) if len(g) <= networks)
    assert sorted(task for group in groups for task in group) == list(range(6))
    assert len(groups) <= networks
    assert found == pytest.approx(best, abs=1e-5)
    assert total(values, groups, 0.1) == pytest.approx(found, abs=1e-5)


def test_planted_groups_of_many_tasks_are_found() -> None:
    labels = torch.arange(15) % 3
    noise = 0.1 * torch.randn(15, 15, generator=torch.Generator().manual_seed(0))
    values = torch.where(labels[:, None] == labels, 1.0, -1.0) + noise
    groups, _ = group_tasks(values, 3)
    assert sorted(map(tuple, groups)) == [tuple(range(start, 15, 3)) for start in range(3)]


def test_tasks_that_harm_each_other_are_parted_if_there_are_networks() -> None:
    values = torch.full((3, 3), -1.0)
    assert len(group_tasks(values, 3)[0]) == 3
    assert len(group_tasks(values, 1)[0]) == 1


def test_ten_tasks_are_searched_in_no_time() -> None:
    values = torch.randn(10, 10, generator=torch.Generator().manual_seed(1))
    assert len(group_tasks(values, 4)[0]) <= 4


def test_rejects_a_budget_out_of_range_and_unknown_pairs() -> None:
    with pytest.raises(ValueError, match="networks=4 must be within 1..3"):
        group_tasks(torch.zeros(3, 3), 4)
    with pytest.raises(ValueError, match="not known; measure on more batches"):
        group_tasks(torch.full((2, 2), torch.nan), 1)
