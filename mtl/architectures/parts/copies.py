"""Copies of a backbone, for architectures with several columns or experts."""

import copy
from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import nn

from mtl.backbones.backbone import Backbone

B = TypeVar("B", bound=Backbone)
M = TypeVar("M", bound=nn.Module)


def backbone_copies(backbone: B, number: int, keep: Iterable[nn.Module] = ()) -> list[B]:
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
            _shuffle(parameter for parameter in made.parameters() if id(parameter) not in shared)
        copies.append(made)
    return [backbone, *copies]


def another(module: M) -> M:
    """A copy with matrices and filters of its own, as random as the first.

    Args:
        module: a module that was not trained.
    """
    made = copy.deepcopy(module)
    _shuffle(made.parameters())
    return made


def _shuffle(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        if parameter.ndim > 1:
            order = torch.randperm(parameter.numel(), device=parameter.device)
            parameter.data = parameter.data.flatten()[order].view_as(parameter)
