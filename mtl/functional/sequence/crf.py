"""Linear-chain conditional random field: sums over all sequences of classes, and how likely each class of a step is.

Source: Lafferty, McCallum, Pereira, "Conditional Random Fields", ICML 2001; sums over the sequences that agree with
what is known, where some steps carry no class, as in Tsuboi et al., COLING 2008.
Shapes: B samples, T steps, C classes.
"""

import torch
from torch import Tensor

from mtl.functional.sequence.step_scan import scan_steps

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

    def back(behind_BC: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        score_BC, real_B1 = row
        moved_BC = (steps_CC + (score_BC + behind_BC)[:, None]).logsumexp(2)
        return torch.where(real_B1, moved_BC, behind_BC), behind_BC

    rows = (scores_BTC.transpose(0, 1), mask_BT.T[..., None])
    behind_TBC = scan_steps(back, torch.zeros_like(scores_BTC[:, 0]), rows, backwards=True)[1]
    return (before_BTC + behind_TBC.transpose(0, 1)).softmax(-1)


def forwards(scores_BTC: Tensor, steps_CC: Tensor, first_C: Tensor, mask_BT: Tensor) -> Tensor:
    """Logarithm of the sum over all sequences that end in a class at a step, [B,T,C]; it stays from the last one on.

    Args:
        scores_BTC: as for `crf_losses`.
        steps_CC: as for `crf_losses`.
        first_C: as for `crf_losses`.
        mask_BT: as for `crf_losses`.
    """
    start_BC = scores_BTC[:, 0] + first_C
    is_first_T = torch.arange(scores_BTC.shape[1], device=scores_BTC.device) == 0

    def ahead(sum_BC: Tensor, row: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        score_BC, real_B1, is_first = row
        moved_BC = (sum_BC[:, :, None] + steps_CC).logsumexp(1) + score_BC
        sum_BC = torch.where(is_first, start_BC, torch.where(real_B1, moved_BC, sum_BC))
        return sum_BC, sum_BC

    return scan_steps(ahead, start_BC, (scores_BTC.transpose(0, 1), mask_BT.T[..., None], is_first_T))[1].transpose(
        0, 1
    )
