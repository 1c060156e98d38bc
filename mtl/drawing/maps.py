"""Values of every pixel as colours: classes over the picture, numbers from dark to bright, directions as RGB; points
as dots on the picture.

Shapes: H x W pixels.
"""

import torch
from torch import Tensor

from mtl.drawing.sample import Picture, class_colour
from mtl.targets.overlay import ClassMap, Directions, Points, Shape, ValueMap

_OPACITY = 0.5
_DOTS_ACROSS = 50  # radius of a dot, as a part of the picture's shorter side
_UNKNOWN = 40.0  # grey of pixels without a value
_SCALE = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")  # from low to high, also in grey print


def blend(image: Tensor, found: ClassMap) -> Tensor:
    """The picture with every class in its colour; pixels without a class stay as they are.

    Args:
        image: uint8, [3,H,W].
        found: the classes.
    """
    labels_HW = found.labels.long()[: image.shape[-2], : image.shape[-1]]
    colours = [class_colour(index) for index in range(max(0, int(labels_HW.max())) + 1)]
    over = _table(colours)[labels_HW.clamp(min=0)].permute(2, 0, 1)
    mixed = (1 - _OPACITY) * image.float() + _OPACITY * over
    return torch.where(labels_HW >= 0, mixed, image.float()).round().to(torch.uint8)


def dots(image: Tensor, found: Points) -> Tensor:
    """The picture with a dot in its own colour for every point that is known, and a white rim around it.

    Args:
        image: uint8, [3,H,W].
        found: the points.
    """
    height, width = image.shape[-2:]
    radius = max(1.5, min(height, width) / _DOTS_ACROSS)
    x_W, y_H1 = torch.arange(width) + 0.5, torch.arange(height)[:, None] + 0.5
    colours = _table([class_colour(index) for index in range(len(found.points))])
    for (x, y), colour_3 in zip(found.points.tolist(), colours, strict=True):
        away_HW = torch.hypot(x_W - x, y_H1 - y)  # NaN is near nothing
        image = torch.where(away_HW <= radius + 1, torch.tensor(255, dtype=torch.uint8), image)
        image = torch.where(away_HW <= radius, colour_3[:, None, None].to(torch.uint8), image)
    return image


def colours_of(shape: Shape, image: Tensor) -> Tensor | None:
    """A map as a picture of its own, uint8 [3,H,W]; None for shapes that are no map.

    Args:
        shape: what a task has to show.
        image: the picture it belongs to, uint8 [3,H,W].
    """
    height, width = image.shape[-2:]
    if isinstance(shape, ClassMap):
        return blend(image, shape)
    if isinstance(shape, ValueMap):
        values_HW = shape.values[:height, :width]
        share_HW = ((values_HW - shape.low) / max(shape.high - shape.low, 1e-9)).clamp(0, 1).nan_to_num()
        place_HW = share_HW * (len(_SCALE) - 1)
        below_HW = place_HW.floor().long().clamp(max=len(_SCALE) - 2)
        table_C3 = _table(_SCALE)
        rgb = table_C3[below_HW].lerp(table_C3[below_HW + 1], (place_HW - below_HW)[..., None]).permute(2, 0, 1)
        return _with_unknown(rgb, values_HW.isfinite())
    if isinstance(shape, Directions):
        vectors_3HW = shape.vectors[:, :height, :width]
        # a surface that faces the camera has z = -1, and is drawn light blue as usual
        signs = torch.tensor([1.0, -1.0, -1.0])[:, None, None]
        rgb = (vectors_3HW.nan_to_num() * signs + 1) * 127.5
        return _with_unknown(rgb, vectors_3HW.isfinite().all(0))
    if isinstance(shape, Points):
        return dots(image, shape)
    return None


def map_panels(picture: Picture) -> dict[str, tuple[Tensor, Tensor | None]]:
    """The maps of a sample by task: the predicted one and the true one as pictures, uint8 [3,H,W].

    Args:
        picture: the sample.
    """
    panels = {}
    for name, overlay in picture.overlays.items():
        found = None if overlay.predicted is None else colours_of(overlay.predicted, picture.image)
        if found is not None:
            panels[name] = (found, None if overlay.true is None else colours_of(overlay.true, picture.image))
    return panels


def _with_unknown(rgb: Tensor, known_HW: Tensor) -> Tensor:
    return torch.where(known_HW, rgb, _UNKNOWN).round().clamp(0, 255).to(torch.uint8)


def _table(colours: list[str] | tuple[str, ...]) -> Tensor:
    return torch.tensor([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours]).float()
