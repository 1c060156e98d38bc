"""FiLMFusion: the formula of its block, levels that keep their maps, and a map that depends on what the others say."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from mtl.backbones.fusion.film import FiLMFusion, _FiLMBlock
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.series.convolutions import SeriesConvolutions
from mtl.task import InputSpec

INPUTS = {"image": InputSpec("image", "image", channels=3), "track": InputSpec("track", "series", channels=2)}
TRACK = partial(SeriesConvolutions, width=8, layers=1, dropout=0.0)
ENCODERS = {"image": partial(ResidualFPN, width=4, pyramid_width=6), "track": TRACK}


def data() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.randn(2, 3, 32, 32, generator=generator),
        "track": torch.randn(2, 5, 2, generator=generator),
        "track_mask": torch.ones(2, 5, dtype=torch.bool),
    }


def built(**options: object) -> FiLMFusion:
    torch.manual_seed(0)
    return FiLMFusion(INPUTS, ENCODERS, width=8, **options).eval()  # type: ignore[arg-type]


def test_a_block_is_the_papers_formula() -> None:
    torch.manual_seed(0)
    block, x, said = _FiLMBlock(3, 5), torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    inner = F.relu(block.first(x))
    filtered = block.second(inner)
    mean, variance = filtered.mean((0, 2, 3), keepdim=True), filtered.var((0, 2, 3), unbiased=False, keepdim=True)
    normed = (filtered - mean) / (variance + 1e-5).sqrt()
    numbers = said @ block.film.weight.T + block.film.bias
    expected = inner.clone()
    for sample in range(2):
        for channel in range(3):
            gamma, beta = numbers[sample, channel], numbers[sample, 3 + channel]
            expected[sample, channel] += F.relu((1 + gamma) * normed[sample, channel] + beta)
    torch.testing.assert_close(block(x, said), expected)


def test_levels_keep_their_names_widths_and_strides() -> None:
    model = built()
    assert model.spec.channels == {"fused": 8, "c4": 16, "p2": 6}
    assert model.spec.strides == {"fused": 1, "c4": 16, "p2": 4}
    assert model.spec.deepest == "fused"
    assert model.spec.pyramid("a head") == ["p2"]
    features = model.run(data())
    assert features["p2"].shape == (2, 6, 8, 8)
    assert features["c4"].shape == (2, 16, 2, 2)


def test_what_the_other_input_says_changes_every_level_of_its_own_sample() -> None:
    model, before = built(blocks=2), data()
    after = {**before, "track": before["track"].clone()}
    after["track"][0] += 1
    one, two = model.run(before), model.run(after)
    for level in model.spec.channels:
        assert not torch.allclose(one[level][0], two[level][0]), level
        torch.testing.assert_close(one[level][1], two[level][1])


def test_without_a_picture_the_maps_follow_the_other_input_alone() -> None:
    model, batch = built(), data()
    batch["present/image"] = torch.tensor([False, True])
    other = {**batch, "image": batch["image"] + 1}
    one, two = model.run(batch), model.run(other)
    for level in model.spec.channels:
        torch.testing.assert_close(one[level][0], two[level][0])
        assert not torch.allclose(one[level][1], two[level][1]), level
    spoken = model.run({**batch, "track": batch["track"] + 1})
    assert not torch.allclose(one["p2"][0], spoken["p2"][0])


def test_every_parameter_of_a_picture_alone_gets_a_gradient() -> None:
    model = FiLMFusion({"image": INPUTS["image"]}, {**ENCODERS, "track": None}, width=8)
    features = model.run({"image": data()["image"]})
    torch.stack([value.square().mean() for value in features.values()]).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="encoders give maps are none"):
        FiLMFusion({"track": INPUTS["track"]}, {"track": TRACK})
    with pytest.raises(ValueError, match="give maps are image, and maps_of is track"):
        built(maps_of="track")
    with pytest.raises(ValueError, match="blocks=0 must be at least 1"):
        built(blocks=0)
