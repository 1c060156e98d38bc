"""The best sequence of classes when some steps from class to class are not allowed.

Source: Viterbi, "Error bounds for convolutional codes", IEEE Transactions on Information Theory, 1967.
Shapes: B samples, T steps, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.functional.sequence.step_scan import scan_steps


def viterbi(
    scores_BTC: Tensor,
    allowed_CC: Tensor,
    first_C: Tensor,
    mask_BT: Tensor | None = None,
    step_scores_CC: Tensor | None = None,
    first_scores_C: Tensor | None = None,
) -> Tensor:
    """The classes [B,T] with the largest sum of scores along allowed steps; what stands in padding means nothing.

    Args:
        scores_BTC: score of every class at every step, for example log probabilities.
        allowed_CC: whether the class of the column may follow the class of the row, bool.
        first_C: whether a sequence may begin with a class, bool.
        mask_BT: which steps are real, from the first on; all by default.
        step_scores_CC: score of the class of the column behind the class of the row; 0 by default.
        first_scores_C: score of a class at the first step; 0 by default.
    """
    step_CC = torch.zeros_like(scores_BTC[0, 0]).expand(allowed_CC.shape) if step_scores_CC is None else step_scores_CC
    barred_CC = step_CC.masked_fill(~allowed_CC, -torch.inf)
    start_BC = scores_BTC[:, 0] if first_scores_C is None else scores_BTC[:, 0] + first_scores_C
    start_BC = start_BC.masked_fill(~first_C, -torch.inf)
    stay_C = torch.arange(len(first_C), device=scores_BTC.device)
    is_first_T = torch.arange(scores_BTC.shape[1], device=scores_BTC.device) == 0
    real_BT = torch.ones_like(scores_BTC[..., 0], dtype=torch.bool) if mask_BT is None else mask_BT

    def best_way(best_BC: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        score_BC, real_B1, is_first = row
        found_BC, before_BC = (best_BC[:, :, None] + barred_CC).max(1)
        # behind its end a sequence stays where it is
        next_BC = torch.where(real_B1, found_BC + score_BC, best_BC)
        return torch.where(is_first, start_BC, next_BC), torch.where(real_B1, before_BC, stay_C)

    def way_back(label_B: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        return row[0].gather(1, label_B[:, None])[:, 0], label_B

    steps = (scores_BTC.transpose(0, 1), real_BT.T[..., None], is_first_T)
    best_BC, came_from_TBC = scan_steps(best_way, start_BC, steps)
    return scan_steps(way_back, best_BC.argmax(1), (came_from_TBC,), backwards=True)[1].T


def iob_steps(names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Which IOB tag may follow which, [C,C], and which may come first, [C]: `I-x` only after `B-x` or `I-x`.

    Args:
        names: names of the tags, such as `O`, `B-x`, `I-x`.
    """
    inside = [name[2:] if name.startswith("I-") else None for name in names]
    kinds = [name[2:] if name[:2] in ("B-", "I-") else "" for name in names]
    allowed = [[there is None or there == here for there in inside] for here in kinds]
    return torch.tensor(allowed), torch.tensor([there is None for there in inside])
