"""The best legal sequence is that of a search through all sequences."""

from itertools import pairwise, product

import torch

from mtl.functional.sequence.viterbi import iob_steps, viterbi

NAMES = ["O", "B-a", "I-a", "B-b", "I-b"]


def best_by_search(scores: torch.Tensor) -> list[int]:
    def legal(path: tuple[int, ...]) -> bool:
        tags = ["O", *(NAMES[index] for index in path)]
        return all(not now.startswith("I-") or before[2:] == now[2:] for before, now in pairwise(tags))

    paths = [path for path in product(range(len(NAMES)), repeat=len(scores)) if legal(path)]
    return list(max(paths, key=lambda path: sum(scores[step, label].item() for step, label in enumerate(path))))


def test_equals_a_search_through_all_sequences() -> None:
    scores = torch.randn(8, 5, 5, generator=torch.Generator().manual_seed(0))
    found = viterbi(scores, *iob_steps(NAMES))
    assert [row.tolist() for row in found] == [best_by_search(row) for row in scores]
    assert (found != scores.argmax(-1)).any()


def test_padding_changes_nothing() -> None:
    scores = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1))
    longer = torch.cat((scores, torch.randn(6, 3, 5)), 1)
    mask = (torch.arange(7) < 4).expand(6, 7)
    steps = iob_steps(NAMES)
    assert torch.equal(viterbi(longer, *steps, mask)[:, :4], viterbi(scores, *steps))


def test_without_forbidden_steps_it_is_the_best_class_of_each() -> None:
    scores = torch.randn(3, 6, 4)
    everything = torch.ones(4, 4, dtype=torch.bool)
    assert torch.equal(viterbi(scores, everything, everything[0]), scores.argmax(-1))


def test_inside_tags_follow_their_own_beginning() -> None:
    allowed, first = iob_steps(NAMES)
    assert first.tolist() == [True, True, False, True, False]
    assert allowed[1].tolist() == [True, True, True, True, False]
    assert allowed[0].tolist() == [True, True, False, True, False]
    assert allowed[4].tolist() == [True, True, False, True, True]
