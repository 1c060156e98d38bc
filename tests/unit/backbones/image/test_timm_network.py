"""timm's networks as backbones: strides, channel order, errors."""

import sys

import pytest
import torch
from torch import nn

from mtl.backbones.image.timm_network import TimmBackbone


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r'pip install "mtl\[timm\]"'):
        TimmBackbone()


class TestWithTimm:
    @pytest.fixture(autouse=True)
    def _timm(self) -> None:
        pytest.importorskip("timm")

    def test_networks_with_channels_last_are_turned(self) -> None:
        backbone = TimmBackbone(name="swin_tiny_patch4_window7_224", levels=("p3", "c2", "c5"), image_size=64)
        features = backbone(torch.randn(1, 3, 64, 64))
        assert {level: tuple(feature.shape) for level, feature in features.items()} == {
            "p3": (1, 128, 8, 8),
            "c2": (1, 96, 16, 16),
            "c5": (1, 768, 2, 2),
        }

    def test_frozen_norms_keep_the_activation_inside_them(self) -> None:
        torch.manual_seed(3)
        free = TimmBackbone(name="efficientnet_b0", levels=("c3",)).eval()
        torch.manual_seed(3)
        frozen, images = (
            TimmBackbone(name="efficientnet_b0", levels=("c3",), frozen_norm=True),
            torch.randn(1, 3, 64, 64),
        )
        assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
        torch.testing.assert_close(frozen.eval()(images)["c3"], free(images)["c3"])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "resnet18x"}, "timm has no network 'resnet18x'. Did you mean"),
            ({"name": "vit_tiny_patch16_224"}, "has no map c3, c5"),
            ({"levels": ("p9",)}, "unknown level 'p9'"),
        ],
    )
    def test_wrong_settings_are_explained(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            TimmBackbone(**options)  # type: ignore[arg-type]

    def test_weights_that_cannot_be_downloaded_name_the_ways_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import timm

        make = timm.create_model

        def refuse(*args: object, **options: object) -> nn.Module:
            if options.get("pretrained"):
                raise OSError("no network")
            network: nn.Module = make(*args, **options)
            return network

        monkeypatch.setattr(timm, "create_model", refuse)
        with pytest.raises(RuntimeError, match="cannot be downloaded .*pretrained: false"):
            TimmBackbone(name="resnet18", pretrained=True)
