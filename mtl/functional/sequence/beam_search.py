"""Beam search: the likeliest sequences of a model that gives the next token for a prefix; one beam is greedy.

Source of the length penalty: Wu et al., "Google's Neural Machine Translation System", 2016, eq. 14, without coverage.
Shapes: B samples, K beams, S steps so far, V tokens.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def beam_search(
    next_log_probs: Callable[[Tensor, Tensor], Tensor],
    batch: int,
    begin: int,
    end: int,
    most_steps: int,
    beams: int = 1,
    length_penalty: float = 0.6,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """The best finished sequence of every sample.

    Args:
        next_log_probs: from prefixes [B*K,S] and the sample of each [B*K] to log probabilities [B*K,V].
        batch: number of samples B.
        begin: what every prefix begins with.
        end: token that finishes a sequence.
        most_steps: longest sequence, without `begin` and `end`; one of this length ends then, whatever the model says.
        beams: prefixes kept of each sample K.
        length_penalty: exponent of the length that a sum of log probabilities is divided by; 0 prefers short ones.
        device: where the model is.

    Returns:
        Tokens [B,most_steps] with -1 behind the end, and the log probability [B] of each, the end included.
    """
    prefix_NS = torch.full((batch * beams, 1), begin, device=device)
    sample_N = torch.arange(batch, device=device).repeat_interleave(beams)
    score_BK = torch.full((batch, beams), -torch.inf, device=device)
    score_BK[:, 0] = 0  # the beams begin alike: one of them counts
    done_BK = torch.zeros(batch, beams, dtype=torch.bool, device=device)
    for _ in range(most_steps + 1):
        log_NV = next_log_probs(prefix_NS, sample_N)
        log_BKV = log_NV.view(batch, beams, -1)
        # a finished sequence repeats its end token at no cost
        stay_V = torch.full_like(log_BKV[0, 0], -torch.inf)
        stay_V[end] = 0
        if prefix_NS.shape[1] > most_steps:  # no place is left: what is not finished ends here, and pays for it
            log_BKV = log_BKV + stay_V
        log_BKV = torch.where(done_BK[..., None], stay_V, log_BKV)
        summed_BKV = score_BK[..., None] + log_BKV
        steps = torch.where(done_BK, (prefix_NS[:, 1:] != end).view(batch, beams, -1).sum(-1) + 1, prefix_NS.shape[1])
        judged_BKV = summed_BKV / _penalty(steps, length_penalty)[..., None]
        best_BK = judged_BKV.flatten(1).topk(beams, 1).indices
        from_BK, token_BK = best_BK // log_BKV.shape[-1], best_BK % log_BKV.shape[-1]
        score_BK = summed_BKV.flatten(1).gather(1, best_BK)
        done_BK = done_BK.gather(1, from_BK) | (token_BK == end)
        row_N = (from_BK + beams * torch.arange(batch, device=device)[:, None]).flatten()
        prefix_NS = torch.cat((prefix_NS[row_N], token_BK.view(-1, 1)), 1)
        if done_BK.all():
            break
    tokens_BKS = prefix_NS[:, 1:].view(batch, beams, -1)
    first_BS, first_B = tokens_BKS[:, 0], score_BK[:, 0]
    out_BL = torch.full((batch, most_steps), -1, device=device)
    real_BS = (first_BS == end).cumsum(1) == 0
    kept = min(most_steps, first_BS.shape[1])
    out_BL[:, :kept] = torch.where(real_BS, first_BS, -1)[:, :kept]
    return out_BL, first_B


def _penalty(steps: Tensor, exponent: float) -> Tensor:
    return ((5 + steps) / 6.0) ** exponent
