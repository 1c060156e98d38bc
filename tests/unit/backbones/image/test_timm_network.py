"""timm's networks as backbones: strides, channel order, errors."""

import sys

import pytest
import torch
from torch import nn

from mtl.architectures.adashare import AdaShare
from mtl.architectures.architecture import Architecture
from mtl.architectures.cross_stitch import CrossStitch
from mtl.architectures.film import FiLM
from mtl.architectures.lora import LoRA
from mtl.architectures.mtan import MTAN
from mtl.architectures.ple import PLE
from mtl.architectures.task_tokens import TaskTokens
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

    @pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"])
    def test_stages_run_as_timm_runs_the_network(self, name: str) -> None:
        import timm

        size = {} if name == "resnet18" else {"img_size": 64}
        torch.manual_seed(3)
        network = timm.create_model(name, features_only=True, **size).eval()
        # as the backbone does: once for the sizes, and once to keep
        torch.manual_seed(3)
        timm.create_model(name, features_only=True, **size)
        again = timm.create_model(name, features_only=True, **size).eval()
        torch.manual_seed(3)
        level = "c4" if name.startswith("vit") else "c5"
        backbone = TimmBackbone(name=name, levels=(level,), image_size=size.get("img_size")).eval()
        images = torch.randn(1, 3, 64, 64)
        expected = again(images)[-1]
        expected = expected.permute(0, 3, 1, 2) if name.startswith("swin") else expected
        torch.testing.assert_close(backbone(images)[level], expected)
        assert len(backbone.stages()) == (5 if level == "c4" else 4)
        assert len(list(network.parameters())) <= len(list(backbone.parameters())), "no block is cut off"

    def test_blocks_that_keep_their_shape_may_be_skipped(self) -> None:
        assert len(TimmBackbone(name="resnet18", levels=("c5",)).skippable()) == 5
        backbone = TimmBackbone(name="vit_tiny_patch16_224", levels=("c4",), image_size=64)
        assert len(backbone.skippable()) == 12
        assert backbone.training

    def test_blocks_of_shared_stages_run_for_every_task(self) -> None:
        made = AdaShare(TimmBackbone(name="resnet18", levels=("c5",)), ["a", "b"])
        assert len(made.of_task.get_parameter("a.policy")) == 3  # one block of each stage behind the first two
        cut = made.cut({"image": torch.randn(2, 3, 32, 32)})
        assert all(made.view(cut, name)["c5"].shape[:2] == (2, 512) for name in ("a", "b"))

    def test_a_size_for_a_network_of_any_size_is_refused(self) -> None:
        with pytest.raises(ValueError, match="resnet18 cannot be built for image_size=32 .*Leave image_size out"):
            TimmBackbone(name="resnet18", image_size=32)

    def test_a_network_that_runs_in_another_way_is_one_piece(self) -> None:
        backbone = TimmBackbone(name="mobilenetv3_small_050", levels=("c5",))
        assert not backbone.stages()
        with pytest.raises(ValueError, match="CrossStitch works.*TimmBackbone of mobilenetv3_small_050 is one piece"):
            CrossStitch(backbone, ["a", "b"])

    @pytest.mark.parametrize("cls", [CrossStitch, FiLM, LoRA, TaskTokens, AdaShare, PLE, MTAN])
    def test_a_vision_transformer_is_shared_in_every_way(self, cls: type[Architecture]) -> None:
        backbone = TimmBackbone(name="vit_tiny_patch16_224", levels=("c4",), image_size=64)
        made = cls(backbone, ["a", "b"])
        cut = made.cut({"image": torch.randn(2, 3, 64, 64)})
        for name in ("a", "b"):
            assert made.view(cut, name)["c4"].shape == (2, backbone.spec.channels["c4"], 4, 4)

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
