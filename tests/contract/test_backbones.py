"""What every backbone must do. A new file in `mtl/backbones/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own.
"""

import copy
import pickle

import pytest
import torch

from mtl.backbones.backbone import Backbone
from tests.contract.kit.found import found

BACKBONES = found(Backbone)  # type: ignore[type-abstract]
every_backbone = pytest.mark.parametrize("cls", BACKBONES, ids=lambda cls: cls.__name__)


def build(cls: type[Backbone]) -> Backbone:
    torch.manual_seed(0)
    try:
        return cls()
    except ImportError as error:
        pytest.skip(str(error))


def test_backbones_are_found() -> None:
    assert len(BACKBONES) >= 4


@every_backbone
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_maps_have_the_declared_widths_and_strides(cls: type[Backbone], size: tuple[int, int]) -> None:
    backbone = build(cls)
    features = backbone(torch.randn(2, 3, *size))
    expected = {
        level: (2, width, *(side // backbone.spec.strides[level] for side in size))
        for level, width in backbone.spec.channels.items()
    }
    assert {level: tuple(feature.shape) for level, feature in features.items()} == expected


@every_backbone
def test_odd_sizes_round_down_or_up_by_less_than_a_cell(cls: type[Backbone]) -> None:
    backbone = build(cls).eval()
    for level, feature in backbone(torch.randn(1, 3, 75, 101)).items():
        for cells, side in zip(feature.shape[2:], (75, 101), strict=True):
            assert abs(cells - side / backbone.spec.strides[level]) < 1, level


@every_backbone
def test_every_parameter_gets_a_gradient(cls: type[Backbone]) -> None:
    backbone = build(cls)
    torch.stack([feature.square().mean() for feature in backbone(torch.randn(2, 3, 64, 64)).values()]).sum().backward()
    # DDP waits for a parameter without one
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


@every_backbone
def test_images_of_a_batch_do_not_see_each_other_in_evaluation(cls: type[Backbone]) -> None:
    backbone, images = build(cls).eval(), torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        alone, together = backbone(images[1:2]), backbone(images)
    for level, feature in alone.items():
        torch.testing.assert_close(feature, together[level][1:2], rtol=1e-3, atol=1e-4)


@every_backbone
def test_can_be_copied_and_pickled(cls: type[Backbone]) -> None:
    backbone, images = build(cls).eval(), torch.randn(1, 3, 64, 64)
    for twin in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert twin.spec == backbone.spec
        for level, feature in twin(images).items():
            torch.testing.assert_close(feature, backbone(images)[level])


@every_backbone
def test_compiles_to_one_graph(cls: type[Backbone]) -> None:
    backbone, images = build(cls).eval(), torch.randn(1, 3, 64, 64)
    torch.compiler.reset()
    found = torch.compile(backbone, backend="eager", fullgraph=True)(images)
    for level, feature in backbone(images).items():
        torch.testing.assert_close(found[level], feature)
