"""The parts of a model and their order."""

from typing import Any

import pytest
from lightning.pytorch import LightningModule
from torch import nn

from mtl.callbacks.model_parts import model_of, parts


def test_trunk_then_others_then_heads(tiny: Any) -> None:
    model = tiny.module().model
    model.neck = nn.Linear(2, 2)
    assert list(parts(model)) == ["trunk", "neck", "boxes", "largest"]


def test_a_module_without_our_model_is_refused() -> None:
    with pytest.raises(ValueError, match="LightningModule has no `model`.*MultiTaskLightningModule"):
        model_of(LightningModule())
