"""What architectures that work inside a backbone need: its stages, and the mean of what a stage gives."""

from torch import Tensor

from mtl.backbones.backbone import Backbone, StagedBackbone
from mtl.discovery import concrete_subclasses
from mtl.features import Layout


def staged(backbone: Backbone, who: str) -> StagedBackbone:
    """The backbone, if it runs in stages.

    Args:
        backbone: the backbone.
        who: who asks, for the message.

    Raises:
        ValueError: naming backbones that do.
    """
    if not isinstance(backbone, StagedBackbone):
        known = [cls.__name__ for cls in concrete_subclasses(StagedBackbone)]  # type: ignore[type-abstract]
        raise ValueError(
            f"{who} works on the stages of a backbone, and {type(backbone).__name__} is one piece. "
            f"Backbones in stages: {', '.join(known)}."
        )
    return backbone


def masked_mean(values: Tensor, mask: Tensor | None, layout: Layout) -> Tensor:
    """Mean over the real cells of each sample, [B,C].

    Args:
        values: a level.
        mask: which cells are real; all by default.
        layout: its layout.
    """
    if layout == "vector":
        return values
    cells = (2, 3) if layout == "map" else (1,)
    if mask is None:
        return values.mean(cells)
    here = mask.unsqueeze(1 if layout == "map" else -1)
    return (values * here).sum(cells) / here.sum(cells).clamp(min=1)
