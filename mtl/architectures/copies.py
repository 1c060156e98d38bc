"""Copies of a backbone, for architectures with several columns or experts."""

import copy
from collections.abc import Iterable

import torch
from torch import nn

from mtl.backbones.backbone import Backbone


def backbone_copies(backbone: Backbone, number: int, keep: Iterable[nn.Module] = ()) -> list[Backbone]:
    """The backbone and copies of it.

    Copies of a pretrained backbone start from its weights. Others get matrices and filters of their own: the same
    values in another order, so that they are as random as the first, whatever its initialisation.

    Args:
        backbone: the first of them.
        number: how many to return, at least 1.
        keep: modules of the backbone that all of them share.
    """
    keep = list(keep)
    shared = {id(parameter) for module in keep for parameter in module.parameters()}
    copies = []
    for _ in range(number - 1):
        made = copy.deepcopy(backbone, {id(module): module for module in keep})
        if not backbone.pretrained:
            for parameter in made.parameters():
                if parameter.ndim > 1 and id(parameter) not in shared:
                    order = torch.randperm(parameter.numel(), device=parameter.device)
                    parameter.data = parameter.data.flatten()[order].view_as(parameter)
        copies.append(made)
    return [backbone, *copies]
