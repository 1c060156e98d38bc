"""One-to-one matching of predicted slots and true objects (the Hungarian method).

Source: Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020, arXiv:2005.12872, section 3.1.
Shapes: B problems, S slots, M padded objects.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@torch.compiler.disable  # type: ignore[untyped-decorator]
def match_slots(cost_BSM: Tensor, real_BM: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs of slots and objects with the least total cost; with M > S, the costliest objects get no slot.

    Args:
        cost_BSM: cost of each pair, [B,S,M]; a cost that is not finite counts as 1e6 (-inf as -1e6).
        real_BM: which objects exist, bool [B,M].

    Returns:
        The slot of each object, int64 [B,M] (0 without a slot), and which objects have a slot, bool [B,M].
    """
    # one copy for all problems: each copy from a GPU to the host is a sync
    cost_BSM = torch.nan_to_num(cost_BSM.detach().float(), nan=1e6, posinf=1e6, neginf=-1e6)
    cost = cost_BSM.masked_fill(~real_BM[:, None], torch.inf).cpu()
    slot_BM = torch.full(real_BM.shape, -1)
    for row, matrix in enumerate(cost):
        real = torch.isfinite(matrix[0]).nonzero().flatten()
        slots, objects = linear_sum_assignment(matrix[:, real].numpy())
        slot_BM[row, real[torch.from_numpy(objects)]] = torch.from_numpy(slots)
    slot_BM = slot_BM.to(cost_BSM.device, non_blocking=True)
    return slot_BM.clamp(min=0), slot_BM >= 0
