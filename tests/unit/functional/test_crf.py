"""Sums of a conditional random field are those over all sequences, one by one."""

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from mtl.functional.sequence.crf import crf_losses, crf_marginals
from mtl.functional.sequence.viterbi import viterbi

C, T = 3, 4
PATHS = list(product(range(C), repeat=T))


def drawn(seed: int = 0, number: int = 5, steps: int = T) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = ((number, steps, C), (C, C), (C,))
    scores, moves, first = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes)
    return scores, moves, first


def score(path: tuple[int, ...], scores_TC: Tensor, moves: Tensor, first: Tensor) -> Tensor:
    steps = sum(scores_TC[step, label] for step, label in enumerate(path))
    return first[path[0]] + steps + sum(moves[a, b] for a, b in pairwise(path))


def every(scores: Tensor, moves: Tensor, first: Tensor) -> Tensor:
    """Score of every path of every sample."""
    return torch.stack([torch.stack([score(path, row, moves, first) for path in PATHS]) for row in scores])


@pytest.mark.parametrize("unknown", [(), (1,), (0, 3), (0, 1, 2, 3)])
def test_the_loss_is_that_of_all_sequences_that_agree(unknown: tuple[int, ...]) -> None:
    scores, moves, first = drawn()
    tags = torch.randint(C, (5, T), generator=torch.Generator().manual_seed(1))
    tags[:, list(unknown)] = -100
    total = every(scores, moves, first).logsumexp(1)
    agreeing = []
    for row, own in zip(scores, tags.tolist(), strict=True):
        fitting = [path for path in PATHS if all(tag in (-100, label) for tag, label in zip(own, path, strict=True))]
        agreeing.append(torch.stack([score(path, row, moves, first) for path in fitting]).logsumexp(0))
    found = crf_losses(scores, moves, first, tags, torch.ones(5, T, dtype=torch.bool))
    torch.testing.assert_close(found, total - torch.stack(agreeing))


def test_marginals_and_the_best_sequence_are_those_of_all_sequences() -> None:
    scores, moves, first = drawn(seed=2)
    values = every(scores, moves, first)
    share = values.softmax(1)
    expected = torch.zeros(5, T, C, dtype=torch.float64)
    for index, path in enumerate(PATHS):
        for step, label in enumerate(path):
            expected[:, step, label] += share[:, index]
    torch.testing.assert_close(crf_marginals(scores, moves, first, torch.ones(5, T, dtype=torch.bool)), expected)
    everything = torch.ones(C, C, dtype=torch.bool)
    best = viterbi(scores, everything, everything[0], None, moves, first)
    assert best.tolist() == [list(PATHS[int(place)]) for place in values.argmax(1)]


def test_padding_changes_nothing_and_gets_no_gradient() -> None:
    scores, moves, first = drawn(seed=3)
    longer = torch.cat((scores, torch.randn(5, 2, C, dtype=torch.float64)), 1).requires_grad_()
    tags = torch.randint(C, (5, T), generator=torch.Generator().manual_seed(1))
    more = torch.cat((tags, torch.full((5, 2), -100)), 1)
    mask = (torch.arange(T + 2) < T).expand(5, T + 2)
    found = crf_losses(longer, moves, first, more, mask)
    torch.testing.assert_close(found, crf_losses(scores, moves, first, tags, mask[:, :T]))
    found.sum().backward()
    assert longer.grad is not None
    assert not longer.grad[:, T:].any()
    inner = crf_marginals(longer.detach(), moves, first, mask)[:, :T]
    torch.testing.assert_close(inner, crf_marginals(scores, moves, first, mask[:, :T]))


def test_nothing_known_costs_nothing_and_large_scores_stay_finite() -> None:
    scores, moves, first = drawn(seed=4)
    scores = (scores * 1e3).float().requires_grad_()
    tags = torch.full((5, T), -100)
    tags[0] = torch.tensor([0, 1, 2, 0])
    losses = crf_losses(scores, moves.float(), first.float(), tags, torch.ones(5, T, dtype=torch.bool))
    assert losses[0] > 0
    assert not losses[1:].any()
    losses.sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert not scores.grad[1:].any()
