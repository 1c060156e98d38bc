"""Tasks in conflict are in different groups."""

import math

import networkx
import pytest
import torch

from mtl.scheduling.affinity_groups import AffinityGroups, colour


def test_planted_groups_are_found_and_take_turns() -> None:
    schedule = AffinityGroups(every=10, probes=2)
    schedule.build(4)
    assert [schedule.active(step) for step in range(12)] == [[True] * 4] * 12
    friends = torch.tensor([[1.0, 0.8, -0.3, -0.2], [0.8, 1, -0.1, -0.6], [-0.3, -0.1, 1, 0.4], [-0.2, -0.6, 0.4, 1]])
    schedule.observe_cosines(friends)
    first, second = schedule.active(2), schedule.active(3)
    assert {tuple(first), tuple(second)} == {(True, True, False, False), (False, False, True, True)}
    assert schedule.active(10) == schedule.active(11) == [True] * 4
    assert schedule.active(12) == first


def test_the_running_mean_and_its_threshold() -> None:
    schedule = AffinityGroups(threshold=0.3, momentum=0.5)
    schedule.build(2)
    schedule.observe_cosines(torch.tensor([[1.0, -0.5], [-0.5, 1.0]]))
    assert schedule.group_K.tolist() == [0, 1]
    schedule.observe_cosines(torch.tensor([[1.0, 0.1], [0.1, 1.0]]))  # mean -0.2
    assert schedule.cosines_KK[0, 1] == pytest.approx(-0.2)
    assert schedule.group_K.tolist() == [0, 0]
    schedule.observe_cosines(torch.tensor([[1.0, math.nan], [math.nan, 1.0]]))
    assert schedule.cosines_KK[0, 1] == pytest.approx(-0.2)


@pytest.mark.parametrize("seed", range(20))
def test_a_colouring_is_proper_and_that_of_an_independent_implementation(seed: int) -> None:
    upper = torch.rand(9, 9, generator=torch.Generator().manual_seed(seed)).triu(1) > 0.6
    conflict_KK = upper | upper.T
    colours = colour(conflict_KK)
    for first, second in conflict_KK.nonzero().tolist():
        assert colours[first] != colours[second]
    graph = networkx.from_numpy_array(conflict_KK.numpy())
    reference = networkx.greedy_color(graph, strategy="largest_first")
    assert colours == [reference[task] for task in range(9)]


@pytest.mark.parametrize(
    "wrong", [{"probes": 0}, {"probes": 100}, {"threshold": 1.5}, {"momentum": 1.0}, {"threshold": -0.1}]
)
def test_rejects_values_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        AffinityGroups(**wrong)  # type: ignore[arg-type]
