"""The dilated trunk gives the numbers of the one in torchvision's own segmentation network."""

import torch
from torchvision.models.segmentation import deeplabv3_resnet50

from mtl.backbones.image.dilated_resnet import DilatedResNet
from mtl.task import InputSpec

THEIRS = {"stem.0": "conv1", "stem.1": "bn1"} | {f"blocks.{index}": f"layer{index + 1}" for index in range(4)}


def test_equals_the_trunk_of_torchvisions_deeplab() -> None:
    reference = deeplabv3_resnet50(weights=None, weights_backbone=None).backbone.eval()
    weights = reference.state_dict()
    trunk = DilatedResNet().eval()
    own = {
        name: weights[f"{theirs}{name.removeprefix(ours)}"]
        for name in trunk.state_dict()
        for ours, theirs in THEIRS.items()
        if name.startswith(f"{ours}.")
    }
    trunk.load_state_dict(own)
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    features = trunk(image)
    torch.testing.assert_close(features["c5"], reference(image)["out"])
    assert {level: 64 // values.shape[2] for level, values in features.items()} == trunk.spec.strides


def test_takes_pictures_of_another_number_of_channels() -> None:
    trunk = DilatedResNet({"image": InputSpec("image", "image", channels=4)}).eval()
    assert trunk(torch.zeros(1, 4, 32, 32))["c5"].shape == (1, 2048, 4, 4)
