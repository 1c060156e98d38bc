"""One-to-one matching of predicted slots and true objects (the Hungarian method).

Source: Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020, arXiv:2005.12872, section 3.1.
Shapes: B problems, S slots, M padded objects.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@torch.compiler.disable  # type: ignore[untyped-decorator]
def match_slots(cost_BSM: Tensor, real_BM: Tensor) -> tuple[Tensor, Tensor]:
    """The cheapest pairs of slots and objects; with more objects than slots the dearest objects stay alone.

    Args:
        cost_BSM: cost of every pair, [B,S,M]. A cost that is not finite counts as very dear.
        real_BM: which objects exist, [B,M].

    Returns:
        The slot of every object, int64 [B,M] (0 where it has none), and which objects have one, bool [B,M].
    """
    # one copy for all problems: on a GPU every copy to the host waits for the whole queue
    cost_BSM = torch.nan_to_num(cost_BSM.detach().float(), nan=1e6, posinf=1e6, neginf=-1e6)
    cost = cost_BSM.masked_fill(~real_BM[:, None], torch.inf).cpu()
    slot_BM = torch.full(real_BM.shape, -1)
    for row, matrix in enumerate(cost):
        real = torch.isfinite(matrix[0]).nonzero().flatten()
        slots, objects = linear_sum_assignment(matrix[:, real].numpy())
        slot_BM[row, real[torch.from_numpy(objects)]] = torch.from_numpy(slots)
    slot_BM = slot_BM.to(cost_BSM.device, non_blocking=True)
    return slot_BM.clamp(min=0), slot_BM >= 0
