"""A class for every pixel, as colour over the picture.

Shapes: H x W pixels.
"""

import torch
from torch import Tensor

from mtl.drawing.sample import class_colour
from mtl.targets.overlay import ClassMap

_OPACITY = 0.5


def blend(image: Tensor, found: ClassMap) -> Tensor:
    """The picture with every class in its colour; where nothing is known it stays as it is.

    Args:
        image: uint8, [3,H,W].
        found: the classes.
    """
    labels_HW = found.labels.long()
    colours = [class_colour(index) for index in range(max(0, int(labels_HW.max())) + 1)]
    table_C3 = torch.tensor([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours])
    over = table_C3[labels_HW.clamp(min=0)].permute(2, 0, 1).float()
    mixed = (1 - _OPACITY) * image.float() + _OPACITY * over
    return torch.where(labels_HW >= 0, mixed, image.float()).round().to(torch.uint8)
