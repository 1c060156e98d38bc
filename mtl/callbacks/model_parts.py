"""The parts of a model that are reported one by one: the backbone, whatever stands beside it, and each head."""

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
            f"{type(module).__name__} has no `model` that is a MultiTaskModel, so its backbone and heads are unknown. "
            "Take MultiTaskLightningModule, or leave out the callbacks that report by part."
        )
    return model


def parts(model: MultiTaskModel) -> dict[str, nn.Module]:
    """Every part by name: `backbone` first, then other modules with parameters, then the heads by their task.

    Args:
        model: the model.
    """
    found = {name: child for name, child in model.named_children() if child is not model.heads}
    return {**found, **dict(model.heads.items())}
