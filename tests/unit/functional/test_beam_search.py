"""Beam search on a table of transitions, against a search through all sequences."""

import math
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from mtl.functional.sequence.beam_search import beam_search

END, BEGIN, V, STEPS = 0, 3, 3, 3


def table(batch: int) -> Tensor:
    """Log probabilities of the next token by sample, step and token before, [B,S,V+1,V]."""
    draws = torch.randn(batch, STEPS + 1, V + 1, V, generator=torch.Generator().manual_seed(1))
    return (2 * draws).log_softmax(-1)


def search(log: Tensor, beams: int, penalty: float = 0.0) -> tuple[Tensor, Tensor]:
    def next_log_probs(prefix_NS: Tensor, sample_N: Tensor) -> Tensor:
        return log[sample_N, prefix_NS.shape[1] - 1, prefix_NS[:, -1]]

    return beam_search(next_log_probs, len(log), BEGIN, END, STEPS, beams, penalty)


def best_by_search(log: Tensor, penalty: float) -> tuple[list[int], float]:
    """The best text of up to three tokens and its end."""
    found = []
    for length in range(STEPS + 1):
        for text in product(range(1, V), repeat=length):
            path = [BEGIN, *text, END]
            score = sum(log[step, a, b].item() for step, (a, b) in enumerate(pairwise(path)))
            found.append((score / ((5 + len(path) - 1) / 6) ** penalty, list(text), score))
    _, text, score = max(found)
    return text, score


def test_as_many_beams_as_tokens_come_near_the_best_of_all_texts() -> None:
    log = table(8)
    for penalty in (0.0, 1.0):
        tokens, scores = search(log, V, penalty)
        exact = [best_by_search(row, penalty) for row in log]
        same = [tokens[i][tokens[i] >= 0].tolist() == text for i, (text, _) in enumerate(exact)]
        assert sum(same) >= 6
        for i, (_, score) in enumerate(exact):
            assert not same[i] or math.isclose(scores[i].item(), score, abs_tol=1e-5)


def test_enough_beams_find_the_best_finished_text() -> None:
    log = table(20)
    for penalty in (0.0, 0.6):
        tokens, scores = search(log, V**STEPS, penalty)
        for row, found, score in zip(log, tokens, scores, strict=True):
            text, exact = best_by_search(row, penalty)
            assert (found[found >= 0].tolist(), score.item()) == (text, pytest.approx(exact, abs=1e-5))


def test_one_beam_takes_the_best_token_at_each_step() -> None:
    log = table(5)
    tokens, _ = search(log, 1)
    for row, found in zip(log, tokens, strict=True):
        before, expected = BEGIN, []
        for step in range(STEPS):
            before = int(row[step, before].argmax())
            if before == END:
                break
            expected.append(before)
        assert found[found >= 0].tolist() == expected


def test_samples_do_not_see_each_other() -> None:
    log = table(6)
    together, _ = search(log, 2, 0.6)
    for index in range(6):
        assert torch.equal(search(log[index : index + 1], 2, 0.6)[0][0], together[index])


def test_a_text_that_never_ends_is_cut() -> None:
    log = torch.full((1, STEPS + 1, V + 1, V), -10.0)
    log[..., 2] = 0
    tokens, _ = search(log, 1)
    assert tokens.tolist() == [[2, 2, 2]]
