"""The parts of a model that are reported one by one: the trunk, whatever stands beside it, and each head."""

from lightning.pytorch import LightningModule
from torch import nn

from mtl.model import MultiTaskModel


def model_of(module: LightningModule) -> MultiTaskModel:
    """The plain model inside a Lightning module.

    Args:
        module: a `MultiTaskLightningModule`, or any module with a `MultiTaskModel` as `model`.

    Raises:
        ValueError: if there is none.
    """
    model = getattr(module, "model", None)
    if not isinstance(model, MultiTaskModel):
        raise ValueError(
            f"{type(module).__name__} has no `model` that is a MultiTaskModel, so its trunk and heads are unknown. "
            "Take MultiTaskLightningModule, or leave out the callbacks that report by part."
        )
    return model


def parts(model: MultiTaskModel) -> dict[str, nn.Module]:
    """Every part with parameters by name: `trunk` first, then what else there is, then the heads by their task.

    Args:
        model: the model.
    """
    others = {name: child for name, child in model.named_children() if child is not model.heads}
    found = {name: child for name, child in others.items() if any(True for _ in child.parameters())}
    return {**found, **dict(model.heads.items())}
