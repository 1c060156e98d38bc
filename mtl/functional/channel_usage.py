"""Which channels of shared features serve which task, out of how much each task uses each channel.

Shapes: K tasks, C channels.
"""

import torch
from torch import Tensor


def usage_shares(usage_KC: Tensor) -> Tensor:
    """Share of every channel in what a task uses, [K,C]: rows sum to 1, whatever the scale of a task's loss.

    Args:
        usage_KC: how much each task uses each channel, at least 0.

    Returns:
        The shares; a row of NaN for a task that uses nothing, such as one without labels.
    """
    usage_KC = usage_KC.double()
    return usage_KC / usage_KC.sum(1, keepdim=True)  # 0 / 0 is NaN: not known


def usage_overlap(shares_KC: Tensor) -> Tensor:
    """How much two tasks share the channels: the sum of the smaller shares, 0 (no common one) to 1 (alike), [K,K].

    Args:
        shares_KC: shares as `usage_shares` gives them.
    """
    return torch.minimum(shares_KC[:, None], shares_KC[None]).sum(-1)


def channel_owners(shares_KC: Tensor) -> Tensor:
    """The task for which each channel has the largest share, [C]; -1 for a channel that none uses.

    Args:
        shares_KC: shares as `usage_shares` gives them.
    """
    most_C, owner_C = shares_KC.nan_to_num().max(0)
    return torch.where(most_C > 0, owner_C, -1)


def block_order(shares_KC: Tensor) -> Tensor:
    """Channels in blocks by owner, [C]: within a block the most exclusive first, channels that none uses last.

    Args:
        shares_KC: shares as `usage_shares` gives them.
    """
    known_KC = shares_KC.nan_to_num()
    owner_C = channel_owners(shares_KC)
    exclusive_C = known_KC.max(0).values / known_KC.sum(0).clamp(min=1e-300)
    block_C = torch.where(owner_C < 0, len(shares_KC), owner_C)
    # two stable sorts: by the second key, then by the first
    by_exclusive = exclusive_C.argsort(descending=True, stable=True)
    return by_exclusive[block_C[by_exclusive].argsort(stable=True)]
