"""Which channels of shared features serve which task, from how much each task uses each channel.

Shapes: K tasks, C channels.
"""

import torch
from torch import Tensor


def usage_shares(usage_KC: Tensor) -> Tensor:
    """Each channel's share of a task's total usage, [K,C]: rows sum to 1, so the scale of the loss does not matter.

    Args:
        usage_KC: how much each task uses each channel, at least 0, [K,C].

    Returns:
        The shares; a row is NaN if a task uses no channel, for example without labels.
    """
    usage_KC = usage_KC.double()
    return usage_KC / usage_KC.sum(1, keepdim=True)


def usage_overlap(shares_KC: Tensor) -> Tensor:
    """How much two tasks use the same channels: the sum of the smaller shares, 0 (disjoint) to 1 (equal), [K,K].

    Args:
        shares_KC: result of `usage_shares`.
    """
    return torch.minimum(shares_KC[:, None], shares_KC[None]).sum(-1)


def channel_owners(shares_KC: Tensor) -> Tensor:
    """The task that has the largest share of each channel, [C]; -1 for channels that no task uses.

    Args:
        shares_KC: result of `usage_shares`.
    """
    most_C, owner_C = shares_KC.nan_to_num().max(0)
    return torch.where(most_C > 0, owner_C, -1)


def block_order(shares_KC: Tensor) -> Tensor:
    """Channel order in blocks by owner, [C]: most exclusive channels first in a block, unused channels last.

    Args:
        shares_KC: result of `usage_shares`.
    """
    known_KC = shares_KC.nan_to_num()
    owner_C = channel_owners(shares_KC)
    exclusive_C = known_KC.max(0).values / known_KC.sum(0).clamp(min=1e-300)
    block_C = torch.where(owner_C < 0, len(shares_KC), owner_C)
    # sort by two keys: first by the secondary key, then stably by the primary key
    by_exclusive = exclusive_C.argsort(descending=True, stable=True)
    return by_exclusive[block_C[by_exclusive].argsort(stable=True)]
