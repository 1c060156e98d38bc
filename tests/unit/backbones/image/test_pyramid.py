"""The pyramid is torchvision's, without the layers that nobody asked for."""

import pytest
import torch
from torchvision.ops import FeaturePyramidNetwork

from mtl.backbones.image.pyramid import Pyramid

CHANNELS = {"c2": 4, "c3": 6, "c4": 8, "c5": 10}
DRAW = torch.Generator().manual_seed(0)
MAPS = {
    name: torch.randn(1, width, 32 >> index, 32 >> index, generator=DRAW)
    for index, (name, width) in enumerate(CHANNELS.items())
}


def test_levels_equal_those_of_torchvisions_pyramid() -> None:
    torch.manual_seed(0)
    pyramid = Pyramid(CHANNELS, ["c5", "p4", "p2"], 16, "net")
    torch.manual_seed(0)
    whole = FeaturePyramidNetwork(list(CHANNELS.values()), 16)(MAPS)
    found = pyramid(MAPS)
    assert list(found) == list(pyramid.spec.channels) == ["p2", "p4", "c5"]
    torch.testing.assert_close(found["p2"], whole["c2"])
    torch.testing.assert_close(found["p4"], whole["c4"])
    assert found["c5"] is MAPS["c5"]


def test_the_deepest_level_is_the_networks_own() -> None:
    # image-level heads pool it: it has seen no finer level's noise
    assert Pyramid(CHANNELS, ["c5", "p5"], 16, "net").spec.deepest == "c5"


def test_a_pyramid_over_a_missing_stride_says_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"net has no map c4 \(stride 16\); it has c2, c3, c5"):
        Pyramid({"c2": 4, "c3": 6, "c5": 10}, ["p3"], 16, "net")


def test_a_level_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="no level twice"):
        Pyramid(CHANNELS, ["p3", "p3"], 16, "net")
