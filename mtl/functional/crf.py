"""Linear-chain conditional random field: sums over all sequences of classes, and how likely each class of a step is.

Source: Lafferty, McCallum, Pereira, "Conditional Random Fields", ICML 2001; sums over the sequences that agree with
what is known, where some steps carry no class, as in Tsuboi et al., COLING 2008.
Shapes: B samples, T steps, C classes.
"""

import torch
from torch import Tensor

BARRED = -1e4  # finite: the logarithm of a sum of nothing but -inf has no gradient


def crf_losses(scores_BTC: Tensor, steps_CC: Tensor, first_C: Tensor, tags_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Minus the log probability of the tags of every sample, [B]; 0 for a sample without any.

    Args:
        scores_BTC: score of every class at every step.
        steps_CC: score of the class of the column behind the class of the row.
        first_C: score of a class at the first step.
        tags_BT: the classes; below 0 where a step has none, which then may be any.
        mask_BT: which steps are real, from the first on.
    """
    classes_C = torch.arange(scores_BTC.shape[2], device=scores_BTC.device)
    agrees_BTC = (tags_BT[..., None] < 0) | (tags_BT[..., None] == classes_C)
    known_B = ((tags_BT >= 0) & mask_BT).any(1)
    all_B = forwards(scores_BTC, steps_CC, first_C, mask_BT)[:, -1].logsumexp(-1)
    bound_BTC = scores_BTC.masked_fill(~agrees_BTC, BARRED)
    agreeing_B = forwards(bound_BTC, steps_CC, first_C, mask_BT)[:, -1].logsumexp(-1)
    return torch.where(known_B, all_B - agreeing_B, 0.0)


def crf_marginals(scores_BTC: Tensor, steps_CC: Tensor, first_C: Tensor, mask_BT: Tensor) -> Tensor:
    """Probability of every class at every step, [B,T,C]; what stands in padding means nothing.

    Args:
        scores_BTC: as for `crf_losses`.
        steps_CC: as for `crf_losses`.
        first_C: as for `crf_losses`.
        mask_BT: as for `crf_losses`.
    """
    before_BTC = forwards(scores_BTC, steps_CC, first_C, mask_BT)
    behind_BC = torch.zeros_like(scores_BTC[:, 0])
    rows = [behind_BC]
    for step in range(scores_BTC.shape[1] - 1, 0, -1):
        moved_BC = (steps_CC + (scores_BTC[:, step] + behind_BC)[:, None]).logsumexp(2)
        behind_BC = torch.where(mask_BT[:, step, None], moved_BC, behind_BC)
        rows.append(behind_BC)
    return (before_BTC + torch.stack(rows[::-1], 1)).softmax(-1)


def forwards(scores_BTC: Tensor, steps_CC: Tensor, first_C: Tensor, mask_BT: Tensor) -> Tensor:
    """Logarithm of the sum over all sequences that end in a class at a step, [B,T,C]; it stays from the last one on.

    Args:
        scores_BTC: as for `crf_losses`.
        steps_CC: as for `crf_losses`.
        first_C: as for `crf_losses`.
        mask_BT: as for `crf_losses`.
    """
    sum_BC = scores_BTC[:, 0] + first_C
    rows = [sum_BC]
    for step in range(1, scores_BTC.shape[1]):
        moved_BC = (sum_BC[:, :, None] + steps_CC).logsumexp(1) + scores_BTC[:, step]
        sum_BC = torch.where(mask_BT[:, step, None], moved_BC, sum_BC)
        rows.append(sum_BC)
    return torch.stack(rows, 1)
