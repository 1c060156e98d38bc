"""Connectionist temporal classification (CTC): loss of a text over all its alignments, and greedy and beam decoding.

The forward recursion is a loop over steps in plain torch: lengths stay on the device, so nothing waits for a GPU, its
backward is deterministic, and what cannot be aligned gives an exact zero instead of inf and NaN gradients.
Source: Graves et al., "Connectionist Temporal Classification", ICML 2006, eq. 5-8; beams: Hannun et al.,
"First-Pass Large Vocabulary Continuous Speech Recognition", 2014, algorithm 1 without a language model.
Shapes: B samples, T steps, V symbols with the blank 0, L symbols of the longest text, S = 2L + 1 states.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BLANK = 0
_NEVER = -1e30  # log of a probability of 0 that keeps gradients finite


def ctc_losses(log_BTV: Tensor, mask_BT: Tensor, text_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log probability of each text.

    Args:
        log_BTV: log probabilities, float32.
        mask_BT: which steps are real; they come before the padding.
        text_BL: symbols 1 to V-1, below 0 behind the end.

    Returns:
        Losses [B], an exact 0 for a text that cannot be aligned, and bool [B]: which texts can be.
    """
    length_B = (text_BL >= 0).sum(1)
    state_BS = torch.full((len(text_BL), 2 * text_BL.shape[1] + 1), BLANK, device=text_BL.device)
    state_BS[:, 1::2] = text_BL.clamp(min=BLANK)
    # a symbol may follow the one before it without a blank if they differ
    skips_BS = F.pad((state_BS[:, 2:] != state_BS[:, :-2]) & (state_BS[:, 2:] != BLANK), (2, 0))
    emitted_BTS = log_BTV.gather(2, state_BS[:, None].expand(-1, log_BTV.shape[1], -1))
    first_S = torch.arange(state_BS.shape[1], device=state_BS.device) < 2
    alpha_BS = emitted_BTS[:, 0].masked_fill(~first_S, _NEVER)
    for step in range(1, log_BTV.shape[1]):
        back_one_BS = F.pad(alpha_BS[:, :-1], (1, 0), value=_NEVER)
        back_two_BS = F.pad(alpha_BS[:, :-2], (2, 0), value=_NEVER).masked_fill(~skips_BS, _NEVER)
        summed_BS = torch.stack((alpha_BS, back_one_BS, back_two_BS)).logsumexp(0) + emitted_BTS[:, step]
        alpha_BS = torch.where(mask_BT[:, step, None], summed_BS.clamp(min=_NEVER), alpha_BS)
    last_B1 = 2 * length_B[:, None]
    in_blank_B = alpha_BS.gather(1, last_B1)[:, 0]
    in_symbol_B = alpha_BS.gather(1, (last_B1 - 1).clamp(min=0))[:, 0].masked_fill(length_B == 0, _NEVER)
    fits_B = needed_steps(text_BL) <= mask_BT.sum(1)
    return torch.where(fits_B, -torch.logaddexp(in_blank_B, in_symbol_B), 0.0), fits_B


def needed_steps(text_BL: Tensor) -> Tensor:
    """Fewest steps that a text can be aligned to, [B]: its symbols, a blank between equal neighbours, and at least 1.

    Args:
        text_BL: symbols, below 0 behind the end.
    """
    equal_BL = (text_BL[:, 1:] == text_BL[:, :-1]) & (text_BL[:, 1:] >= 0)
    return ((text_BL >= 0).sum(1) + equal_BL.sum(1)).clamp(min=1)


def ctc_greedy(log_BTV: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The text of the likeliest symbol of each step: repeats are one, blanks are none.

    Args:
        log_BTV: log probabilities.
        mask_BT: which steps are real.

    Returns:
        Symbols [B,T] with -1 behind the end, and the log probability [B] of this alignment.
    """
    best_BT, symbol_BT = log_BTV.max(-1)
    new_BT = symbol_BT != F.pad(symbol_BT, (1, 0), value=-1)[:, :-1]
    kept_BT = new_BT & (symbol_BT != BLANK) & mask_BT
    # what is dropped is written to a place behind the last one
    place_BT = torch.where(kept_BT, kept_BT.long().cumsum(1) - 1, symbol_BT.shape[1])
    text_BL = F.pad(torch.full_like(symbol_BT, -1), (0, 1)).scatter(1, place_BT, symbol_BT)
    return text_BL[:, :-1], (best_BT * mask_BT).sum(1)


def ctc_beams(log_BTV: Tensor, mask_BT: Tensor, beams: int) -> tuple[Tensor, Tensor]:
    """The likeliest text over all its alignments, by prefix beam search on the host.

    Args:
        log_BTV: log probabilities.
        mask_BT: which steps are real.
        beams: prefixes that are kept at each step.

    Returns:
        Symbols [B,T] with -1 behind the end, and the log probability [B] of the text.
    """
    text_BT = torch.full(log_BTV.shape[:2], -1)
    scores = []
    for row, (log_TV, steps) in enumerate(zip(log_BTV.detach().cpu(), mask_BT.sum(1).tolist(), strict=True)):
        symbols, score = _best_prefix(log_TV[:steps].tolist(), beams)
        text_BT[row, : len(symbols)] = torch.tensor(symbols, dtype=torch.long)
        scores.append(score)
    return text_BT.to(log_BTV.device), torch.tensor(scores).to(log_BTV.device)


def _best_prefix(log_TV: list[list[float]], beams: int) -> tuple[tuple[int, ...], float]:
    # of each prefix: log probability of the alignments that end in a blank, and of those that end in its last symbol
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for log_V in log_TV:
        grown: dict[tuple[int, ...], list[float]] = {}

        def add(prefix: tuple[int, ...], place: int, value: float, into: dict[tuple[int, ...], list[float]]) -> None:
            entry = into.setdefault(prefix, [-math.inf, -math.inf])
            entry[place] = _log_sum(entry[place], value)

        for prefix, (in_blank, in_symbol) in kept.items():
            either = _log_sum(in_blank, in_symbol)
            add(prefix, 0, either + log_V[BLANK], grown)
            for symbol in range(1, len(log_V)):
                if prefix and symbol == prefix[-1]:
                    add(prefix, 1, in_symbol + log_V[symbol], grown)
                    add((*prefix, symbol), 1, in_blank + log_V[symbol], grown)
                else:
                    add((*prefix, symbol), 1, either + log_V[symbol], grown)
        best = sorted(grown.items(), key=lambda item: -_log_sum(*item[1]))[:beams]
        kept = {prefix: (ends[0], ends[1]) for prefix, ends in best}
    prefix, ends = next(iter(kept.items()))
    return prefix, _log_sum(*ends)


def _log_sum(first: float, second: float) -> float:
    high, low = max(first, second), min(first, second)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
