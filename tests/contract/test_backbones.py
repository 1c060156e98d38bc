"""What every backbone must do. A new file in `mtl/backbones/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own.
"""

import copy
import pickle

import pytest
import torch

from mtl.backbones.backbone import Backbone, StagedBackbone, run_stages
from mtl.features import MASK
from tests.contract.kit.found import found
from tests.contract.kit.trunks import build, levels, longer, random_batch

BACKBONES = found(Backbone)  # type: ignore[type-abstract]
every_backbone = pytest.mark.parametrize("cls", BACKBONES, ids=lambda cls: cls.__name__)


def test_backbones_are_found() -> None:
    assert len(BACKBONES) >= 6


@every_backbone
def test_levels_have_the_declared_widths_and_layouts(cls: type[Backbone]) -> None:
    backbone, inputs = build(cls)
    features = backbone.run(random_batch(inputs))
    assert set(backbone.spec.channels) <= set(features)
    for level, width in backbone.spec.channels.items():
        layout, value = backbone.spec.layouts[level], features[level]
        assert value.ndim == {"map": 4, "sequence": 3, "vector": 2}[layout]
        assert value.shape[0] == 3
        assert value.shape[1 if layout == "map" else -1] == width
    for name in features.keys() - backbone.spec.channels.keys():
        assert name.endswith(MASK)
        assert features[name].dtype == torch.bool
        assert features[name].shape == features[name.removesuffix(MASK)].shape[:2]


@every_backbone
@pytest.mark.parametrize("size", [(64, 64), (96, 160), (75, 101)])
def test_maps_have_the_declared_strides(cls: type[Backbone], size: tuple[int, int]) -> None:
    backbone, inputs = build(cls)
    maps = backbone.spec.of("map")
    if not maps or list(inputs) != ["image"]:
        pytest.skip("gives no maps of images")
    for level in maps:
        feature = backbone.eval()(torch.randn(2, 3, *size))[level]
        for cells, side in zip(feature.shape[2:], size, strict=True):
            # an odd size rounds down or up, by less than a cell
            assert abs(cells - side / backbone.spec.strides[level]) < 1, level


@every_backbone
def test_every_parameter_gets_a_gradient(cls: type[Backbone]) -> None:
    backbone, inputs = build(cls)
    found = levels(backbone.run(random_batch(inputs)), backbone.spec)
    torch.stack([feature.square().mean() for feature in found.values()]).sum().backward()
    # DDP waits for a parameter without one
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


@every_backbone
def test_samples_of_a_batch_do_not_see_each_other_in_evaluation(cls: type[Backbone]) -> None:
    backbone, inputs = build(cls)
    together = random_batch(inputs)
    alone = {name: value[1:2] for name, value in together.items()}
    with torch.no_grad():
        one, three = (levels(backbone.eval().run(batch), backbone.spec) for batch in (alone, together))
    for level, feature in one.items():
        torch.testing.assert_close(feature, three[level][1:2], rtol=1e-3, atol=1e-4)


@every_backbone
def test_padded_steps_change_nothing(cls: type[Backbone]) -> None:
    backbone, inputs = build(cls)
    sequences = [level for level in backbone.spec.of("sequence") if level + MASK in backbone.run(random_batch(inputs))]
    if not sequences:
        pytest.skip("gives no sequences of different lengths")
    batches = random_batch(inputs), longer(inputs)
    with torch.no_grad():
        short, long = (levels(backbone.eval().run(batch), backbone.spec) for batch in batches)
    for level in sequences:
        assert long[level].shape[1] > short[level].shape[1]
        torch.testing.assert_close(long[level][:, : short[level].shape[1]], short[level], rtol=1e-4, atol=1e-5)
        assert not long[level][:, short[level].shape[1] :].any()


@every_backbone
def test_can_be_copied_and_pickled(cls: type[Backbone]) -> None:
    backbone, inputs = build(cls)
    batch = random_batch(inputs)
    backbone.eval()
    for twin in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert twin.spec == backbone.spec
        for level, feature in twin.run(batch).items():
            torch.testing.assert_close(feature, backbone.run(batch)[level])


@every_backbone
def test_compiles_to_one_graph(cls: type[Backbone]) -> None:
    backbone, inputs = build(cls)
    batch = random_batch(inputs)
    backbone.eval()
    torch.compiler.reset()
    # one with recurrent layers, which break the graph, says so with `one_graph = False`
    one_graph = getattr(cls, "one_graph", True)
    # behind a break, the compiler reads `.grad` of tensors that are no leaves, which warns
    with torch.set_grad_enabled(one_graph):
        found = torch.compile(backbone.run, backend="eager", fullgraph=one_graph)(batch)
    for level, feature in backbone.run(batch).items():
        torch.testing.assert_close(found[level], feature)


@every_backbone
def test_stages_come_to_the_whole(cls: type[Backbone]) -> None:
    backbone, inputs = build(cls)
    if not isinstance(backbone, StagedBackbone):
        pytest.skip("is one piece")
    batch = random_batch(inputs)
    backbone.eval()
    stages = backbone.stages()
    outputs = run_stages(stages, backbone.begin(*(batch[name] for name in backbone.inputs)))
    assert len(stages) == len(backbone.stage_spec.channels)
    for (value, _), (level, width) in zip(outputs, backbone.stage_spec.channels.items(), strict=True):
        layout = backbone.stage_spec.layouts[level]
        assert value.ndim == {"map": 4, "sequence": 3, "vector": 2}[layout]
        assert value.shape[1 if layout == "map" else -1] == width
    for level, feature in backbone.finish(outputs).items():
        torch.testing.assert_close(feature, backbone.run(batch)[level])
