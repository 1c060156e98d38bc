"""Greedy search whose loop is part of the graph: for exported files, which cannot ask Python whether to stop.

Shapes: B samples, S = most_steps + 1 places, V tokens.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop


def greedy_loop(
    next_log_probs: Callable[[Tensor, Tensor], Tensor], of_samples: Tensor, begin: int, end: int, most_steps: int
) -> tuple[Tensor, Tensor]:
    """What `beam_search` gives with one beam. Prefixes have one length from the start, because a loop fixes shapes.

    Args:
        next_log_probs: from prefixes [B,S], of which the places up to `place` [1] count, and `place` to log
            probabilities [B,V] of the token behind it.
        of_samples: any tensor of B rows; its device is used.
        begin: what every prefix begins with.
        end: token that finishes a sequence.
        most_steps: longest sequence, without `begin` and `end`.

    Returns:
        Tokens [B,most_steps] with -1 behind the end, and the log probability [B] of each, the end included.
    """
    samples, device = of_samples.shape[0], of_samples.device

    def runs(place_1: Tensor, prefix_BS: Tensor, score_B: Tensor, done_B: Tensor) -> Tensor:
        return ((place_1 <= most_steps) & ~done_B.all())[0]

    def step(place_1: Tensor, prefix_BS: Tensor, score_B: Tensor, done_B: Tensor) -> tuple[Tensor, ...]:
        log_BV = next_log_probs(prefix_BS[:, :-1], place_1)
        other_V = torch.arange(log_BV.shape[-1], device=device) != end
        # no place is left behind the last step: it is the end
        log_B, token_B = log_BV.masked_fill((place_1 == most_steps) & other_V, -torch.inf).max(-1)
        token_B = torch.where(done_B, end, token_B)
        here_S = torch.arange(most_steps + 2, device=device) == place_1 + 1
        prefix_BS = torch.where(here_S, token_B[:, None], prefix_BS)
        return place_1 + 1, prefix_BS, torch.where(done_B, score_B, score_B + log_B), done_B | (token_B == end)

    prefix_BS = torch.full((samples, most_steps + 2), end, device=device)
    start_S = torch.arange(most_steps + 2, device=device) == 0
    state = (
        torch.zeros(1, dtype=torch.long, device=device),
        torch.where(start_S, begin, prefix_BS),
        torch.zeros(samples, device=device),
        torch.zeros(samples, dtype=torch.bool, device=device),
    )
    _, prefix_BS, score_B, _ = while_loop(runs, step, state)
    tokens_BL = prefix_BS[:, 1:-1]
    real_BL = (tokens_BL == end).long().cumsum(1) == 0
    return torch.where(real_BL, tokens_BL, -1), score_B
