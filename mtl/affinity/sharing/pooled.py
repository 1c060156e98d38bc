"""One vector for each sample and level, and for the raw input: what CKA and probes look at.

Shapes: S samples, D numbers.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.affinity.sharing.levels import evaluating, run
from mtl.batch import Batch
from mtl.features import MASK
from mtl.inputs.tokens import PADDING
from mtl.model import MultiTaskModel

SIDE = 12  # pixels that the raw image is shrunk to; a probe on all of them needs more samples than there are
RAW = "raw input"


@torch.no_grad()
def pooled_levels(model: MultiTaskModel, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Mean and largest value of every channel of each level, [S,D] by level.

    Args:
        model: the model.
        batches: inputs.
    """
    parts: dict[str, list[Tensor]] = {}
    with evaluating(model):
        for batch in batches:
            found = run(model, batch)
            for level, rows_BNC in found.values.items():
                if rows_BNC.shape[1] == 1:
                    vector_BD = rows_BNC[:, 0]
                else:
                    real_BN1 = found.masks.get(level, torch.ones_like(rows_BNC[..., 0], dtype=torch.bool))[..., None]
                    mean_BC = (rows_BNC * real_BN1).sum(1) / real_BN1.sum(1).clamp(min=1)
                    vector_BD = torch.cat((mean_BC, rows_BNC.masked_fill(~real_BN1, -1e4).amax(1)), 1)
                parts.setdefault(level, []).append(vector_BD.double())
    return {level: torch.cat(part) for level, part in parts.items()}


@torch.no_grad()
def raw_inputs(model: MultiTaskModel, batches: Iterable[Batch]) -> Tensor:
    """The prepared inputs as one vector for each sample [S,D]: images shrunk, ids counted, mean and spread of steps.

    What is padding counts nowhere, so that a sample has the same vector beside longer ones.

    Args:
        model: whose preparation is used.
        batches: inputs.
    """
    rows = []
    for batch in batches:
        prepared: dict[str, Tensor] = {}
        for prepare in model.inputs.values():
            prepared |= prepare(batch)
        parts = []
        for name, value in prepared.items():
            if value.ndim == 4:
                parts.append(F.adaptive_avg_pool2d(value.float(), SIDE).flatten(1))
            elif value.ndim == 2 and value.is_floating_point():
                parts.append(value)
            elif value.ndim in (2, 3) and value.dtype == torch.long:
                ids_BN = value.flatten(1)
                bag_BV = torch.zeros(len(value), 4096)  # ids of large vocabularies share places
                parts.append(bag_BV.scatter_add_(1, ids_BN % 4096, (ids_BN != PADDING).float()))
            elif value.ndim == 3:
                parts.append(_mean_and_spread(value.float(), prepared.get(name + MASK)))
        rows.append(torch.cat(parts, 1).double())
    widest = max(part.shape[1] for part in rows)
    return torch.cat([F.pad(part, (0, widest - part.shape[1])) for part in rows])


def _mean_and_spread(values_BTC: Tensor, mask_BT: Tensor | None) -> Tensor:
    """Mean and standard deviation over the real steps, [B,2C]."""
    real_BT1 = torch.ones_like(values_BTC[..., :1]) if mask_BT is None else mask_BT[..., None].to(values_BTC)
    count_B1 = real_BT1.sum(1)
    mean_BC = (values_BTC * real_BT1).sum(1) / count_B1.clamp(min=1)
    squares_BC = ((values_BTC - mean_BC[:, None]).square() * real_BT1).sum(1)
    return torch.cat((mean_BC, (squares_BC / (count_B1 - 1).clamp(min=1)).sqrt()), 1)
