"""Every backbone in every architecture: it gives what is declared, or an error says what to take instead."""

import pytest
import torch

from mtl.architectures.architecture import Architecture
from mtl.backbones.backbone import Backbone, StagedBackbone
from mtl.discovery import concrete_subclasses
from tests.contract.kit.architectures import NIGHTLY
from tests.contract.kit.found import found
from tests.contract.kit.trunks import build, random_batch

ARCHITECTURES = found(Architecture) or list(concrete_subclasses(Architecture))  # type: ignore[type-abstract]
BACKBONES = found(Backbone) or [cls for cls in concrete_subclasses(Backbone) if cls.__module__.startswith("mtl.")]  # type: ignore[type-abstract]
# two architectures with each backbone, all of them in turn; the others at night
PAIRS = [
    pytest.param(
        backbone,
        cls,
        id=f"{backbone.__name__}-{cls.__name__}",
        marks=[] if (place + 2 * turn) % len(ARCHITECTURES) < 2 else NIGHTLY,
    )
    for turn, backbone in enumerate(BACKBONES)
    for place, cls in enumerate(ARCHITECTURES)
]


@pytest.mark.parametrize(("backbone", "cls"), PAIRS)
def test_views_are_as_declared_or_an_error_names_what_fits(backbone: type[Backbone], cls: type[Architecture]) -> None:
    trunk, inputs = build(backbone)
    try:
        made = cls.example(trunk, ["first", "second"])
    except ValueError as error:
        said = str(error)
        assert cls.__name__ in said
        assert backbone.__name__ in said
        assert "Take " in said or "take " in said or "Backbones in stages: " in said
        return
    made.eval()
    with torch.no_grad():
        cut = made.cut(random_batch(inputs))
        for name in ("first", "second"):
            view = made.view(cut, name)
            for level, width in made.spec.channels.items():
                layout = made.spec.layouts[level]
                assert view[level].ndim == {"map": 4, "sequence": 3, "vector": 2}[layout], level
                assert view[level].shape[1 if layout == "map" else -1] == width, level


@pytest.mark.parametrize("cls", BACKBONES, ids=lambda cls: cls.__name__)
def test_every_backbone_has_stages(cls: type[Backbone]) -> None:
    trunk, _ = build(cls)
    assert isinstance(trunk, StagedBackbone)
    assert len(trunk.stages()) > 1
