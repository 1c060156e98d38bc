"""torchvision's networks as backbones: where they are cut, and what the errors say."""

import copy
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision import models

from mtl.architectures.cross_stitch import CrossStitch
from mtl.backbones.image.torchvision_network import TorchvisionBackbone, build_network
from mtl.backbones.pretrained import without_pretrained

C_LEVELS = ("c2", "c3", "c4", "c5")


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("resnet18", [64, 128, 256, 512]),
        ("mobilenet_v3_small", [16, 24, 48, 576]),
        ("efficientnet_b0", [24, 40, 112, 1280]),
        ("convnext_tiny", [96, 192, 384, 768]),
        ("regnet_y_400mf", [48, 104, 208, 440]),
    ],
)
def test_networks_are_cut_at_the_ends_of_their_stages(name: str, widths: list[int]) -> None:
    backbone = TorchvisionBackbone(name=name, levels=C_LEVELS)
    assert list(backbone.spec.channels.values()) == widths
    features = backbone(torch.randn(2, 3, 64, 64))
    assert [feature.shape[1:] for feature in features.values()] == [
        (width, 16 >> index, 16 >> index) for index, width in enumerate(widths)
    ]


def test_maps_are_the_networks_own() -> None:
    torch.manual_seed(3)
    network = models.resnet18().eval()
    torch.manual_seed(3)
    backbone, images = TorchvisionBackbone(name="resnet18", levels=("c3", "c5")).eval(), torch.randn(1, 3, 64, 64)
    x = network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(images)))))
    features = backbone(images)
    torch.testing.assert_close(features["c3"], network.layer2(x))
    torch.testing.assert_close(features["c5"], network.layer4(network.layer3(network.layer2(x))))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "densenet121"])
def test_stages_end_at_the_maps_and_keep_their_mode_in_copies(name: str) -> None:
    backbone = TorchvisionBackbone(name=name, levels=C_LEVELS).eval()
    assert len(backbone.stages()) == 4
    twin = nn.ModuleList(copy.deepcopy(stage) for stage in backbone.stages())
    assert not any(module.training for stage in twin for module in stage.modules())
    x, features = torch.randn(1, 3, 64, 64), {}
    for level, stage in zip(C_LEVELS, twin, strict=True):
        features[level] = x = stage(x)
    for level, feature in backbone(torch.zeros(1, 3, 64, 64)).items():
        assert feature.shape == features[level].shape
    assert all(module.training for module in twin.train().modules())


def test_columns_of_a_network_exchange_what_they_have() -> None:
    backbone = TorchvisionBackbone(name="resnet18", levels=("p3", "c5"), pyramid_channels=8)
    alone = sum(parameter.numel() for parameter in backbone.parameters())
    made = CrossStitch(backbone, ["a", "b"])
    assert (
        sum(parameter.numel() for parameter in made.parameters()) == 2 * alone + 4 * 2 * 2
    )  # a unit behind every stage
    cut = made.cut({"image": torch.randn(2, 3, 64, 64)})
    assert made.view(cut, "b")["p3"].shape == (2, 8, 8, 8)


@pytest.mark.parametrize("levels", [("p2",), ("p3", "p5"), ("c4",), ("p4", "c2")])
def test_layers_that_no_level_needs_are_not_made(levels: tuple[str, ...]) -> None:
    backbone = TorchvisionBackbone(name="resnet18", levels=levels, pyramid_channels=8)
    features = backbone(torch.randn(2, 3, 64, 64))
    assert set(features) == set(levels)
    torch.stack([feature.square().mean() for feature in features.values()]).sum().backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


def test_frozen_norms_keep_the_weights_and_are_not_trained() -> None:
    torch.manual_seed(3)
    free = TorchvisionBackbone(name="resnet18", levels=("c5",)).eval()
    torch.manual_seed(3)
    frozen, images = TorchvisionBackbone(name="resnet18", levels=("c5",), frozen_norm=True), torch.randn(2, 3, 64, 64)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    # also in training mode
    torch.testing.assert_close(frozen.train()(images)["c5"], free(images)["c5"])


def test_mode_reaches_the_network_and_its_twin_keeps_it() -> None:
    backbone = TorchvisionBackbone(name="resnet18", levels=("c5",)).eval()
    twin = copy.deepcopy(backbone)
    assert not any(module.training for module in twin.modules())
    assert all(module.training for module in twin.train().modules())
    assert not any(module.training for module in backbone.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet81"}, "no classification network 'resnet81'. Did you mean 'resnet18'"),
        ({"weights": "IMAGENET1K_V7"}, "has no weights 'IMAGENET1K_V7'; weights are DEFAULT, IMAGENET1K_V1"),
        ({"levels": ("p6",)}, "unknown level 'p6'; levels are c2"),
        ({"levels": ()}, "at least one level"),
        ({"name": "swin_t"}, "swin_t has no map c3, c4"),
        ({"name": "vit_b_16"}, "images of one fixed size"),
    ],
)
def test_wrong_settings_are_explained(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TorchvisionBackbone(**options)  # type: ignore[arg-type]


def test_weights_that_cannot_be_downloaded_name_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(RuntimeError, match="cannot be downloaded .*weights: null.*copy the file from a machine"):
        TorchvisionBackbone(name="resnet18", weights="DEFAULT")


def test_a_checkpoint_is_loaded_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    built = models.get_model

    def offline(name: str, weights: str | None = None, **options: Any) -> Any:
        if weights is not None:
            raise OSError("no network")
        return built(name, weights=None, **options)

    monkeypatch.setattr(models, "get_model", offline)
    with pytest.raises(RuntimeError, match="weights 'DEFAULT' of resnet18 cannot be downloaded"):
        build_network("resnet18", "DEFAULT")
    with without_pretrained():
        assert isinstance(build_network("resnet18", "DEFAULT"), models.ResNet)
        with pytest.raises(ValueError, match="no weights 'NONE_SUCH'"):
            build_network("resnet18", "NONE_SUCH")
