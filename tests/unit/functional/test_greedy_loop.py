"""The loop itself is replaced by a plain one: torch compiles it, and the contract test of exports runs the real one."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.functional.sequence import greedy_loop as module
from mtl.functional.sequence.beam_search import beam_search
from mtl.functional.sequence.greedy_loop import greedy_loop

BEGIN, END, TOKENS, STEPS = 5, 0, 5, 6


@pytest.fixture(autouse=True)
def _plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(runs: Any, step: Any, state: Any) -> Any:
        while bool(runs(*state)):
            state = step(*state)
        return state

    monkeypatch.setattr(module, "while_loop", loop)


def test_it_gives_what_beam_search_gives_with_one_beam() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = 7
    table_BSPV = torch.randn(samples, STEPS + 1, TOKENS + 1, TOKENS, generator=generator).log_softmax(-1)

    def of_prefix(prefix_NS: Tensor, sample_N: Tensor) -> Tensor:
        return table_BSPV[sample_N, prefix_NS.shape[1] - 1, prefix_NS[:, -1]]

    def at_place(prefix_BS: Tensor, place_1: Tensor) -> Tensor:
        last_B = prefix_BS.index_select(1, place_1)[:, 0]
        return table_BSPV.index_select(1, place_1)[:, 0][torch.arange(samples), last_B]

    tokens_BL, log_B = greedy_loop(at_place, table_BSPV, BEGIN, END, STEPS)
    expected_BL, expected_B = beam_search(of_prefix, samples, BEGIN, END, STEPS)
    assert torch.equal(tokens_BL, expected_BL)
    torch.testing.assert_close(log_B, expected_B)
    lengths = (tokens_BL >= 0).sum(1).tolist()
    assert min(lengths) < STEPS, "some texts end early"
    assert max(lengths) == STEPS, "and some never end"


def test_a_text_that_ends_at_once_is_empty() -> None:
    tokens_BL, log_B = greedy_loop(
        lambda prefix_BS, _: torch.tensor([[0.0, -9.0]]).expand(len(prefix_BS), 2), torch.zeros(2, 3), 2, 0, 3
    )
    assert tokens_BL.tolist() == [[-1, -1, -1], [-1, -1, -1]]
    assert log_B.tolist() == [0.0, 0.0]
