"""Matching of slots and objects, against all permutations."""

import itertools

import torch

from mtl.functional.matching import match_slots


def test_finds_the_cheapest_of_all_assignments() -> None:
    cost = torch.rand(5, 6, 4)
    real = torch.tensor([[True] * 4, [True, False, True, False], [False] * 4, [True] * 4, [False, True, True, True]])
    slots, matched = match_slots(cost, real)
    assert torch.equal(matched, real)
    for row in range(5):
        objects = real[row].nonzero().flatten().tolist()
        found = sum(cost[row, slots[row, i], i].item() for i in objects)
        every = itertools.permutations(range(6), len(objects))
        best = min(sum(cost[row, s, i].item() for s, i in zip(choice, objects, strict=True)) for choice in every)
        assert abs(found - best) < 1e-5
        assert len({slots[row, i].item() for i in objects}) == len(objects)


def test_with_fewer_slots_than_objects_the_dearest_objects_stay_alone() -> None:
    slots, matched = match_slots(torch.tensor([[[5.0, 1.0, 9.0]]]), torch.ones(1, 3, dtype=torch.bool))
    assert matched.tolist() == [[False, True, False]]
    assert slots.tolist() == [[0, 0, 0]]


def test_a_diverged_prediction_is_matched_last_and_does_not_stop_the_run() -> None:
    cost = torch.tensor([[[torch.nan, torch.inf], [1.0, 2.0], [3.0, 3.0]]])
    slots, _ = match_slots(cost, torch.ones(1, 2, dtype=torch.bool))
    assert slots.tolist() == [[1, 2]]
