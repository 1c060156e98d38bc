"""`MultiTaskModel`: names, normalisation, one pass through the trunk."""

from typing import Any

import pytest
import torch

from mtl.architectures.hard_sharing import HardSharing
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.batch import Batch, collate
from mtl.data.sets.digit_scenes import SceneSet
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.image import ImageInput
from mtl.model import MultiTaskModel
from mtl.task import IMAGE, Task

BOXES = Task("boxes", "detection", 10)
LARGEST = Task("largest", "classification", 10)


@pytest.fixture
def model() -> MultiTaskModel:
    backbone = ResidualFPN(width=8, pyramid_width=16)
    heads = {"boxes": CenterNetHead(BOXES, backbone.spec), "largest": ClassificationHead(LARGEST, backbone.spec)}
    return MultiTaskModel(backbone, heads)


@pytest.fixture(scope="module")
def batch() -> Batch:
    scenes = SceneSet(
        "val", 4, 0, ["boxes", "largest"],
        image_size=64, min_digit_px=12, max_digit_px=28, max_digits=4, noise=0.05, texture=0.3,
    )  # fmt: skip
    return collate([scenes[index] for index in range(4)], {"boxes": BOXES, "largest": LARGEST})


def test_uint8_and_float_images_give_the_same_features(model: MultiTaskModel, batch: Batch) -> None:
    model.eval()
    whole = model.cut(batch)
    share = model.cut({**batch, "image": batch["image"].float() / 255})
    for level, features in whole.items():
        torch.testing.assert_close(features, share[level])
        assert features.shape[1] == model.trunk.spec.channels[level]
        assert features.shape[-1] == 64 // model.trunk.spec.strides[level]


def test_images_are_normalised_by_mean_and_deviation() -> None:
    seen: dict[str, Any] = {}

    class Spy(ResidualFPN):
        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            seen["image"] = image
            return super().forward(image)

    backbone = Spy(width=8)
    heads = {"largest": ClassificationHead(LARGEST, backbone.spec)}
    image = ImageInput(IMAGE["image"], mean=(0.2, 0.4, 0.6), std=(0.5, 0.5, 0.1))
    net = MultiTaskModel(backbone, heads, {"image": image})
    net(torch.full((1, 3, 32, 32), 0.7))
    assert seen["image"][0, :, 0, 0].tolist() == pytest.approx([1.0, 0.6, 1.0])


def test_every_head_gives_one_finite_scalar_loss(model: MultiTaskModel, batch: Batch) -> None:
    losses = model.losses(model(batch), batch)
    assert list(losses) == ["boxes", "largest"]
    for loss in losses.values():
        assert loss.shape == ()
        assert torch.isfinite(loss)


def test_predict_decodes_without_gradient(model: MultiTaskModel, batch: Batch) -> None:
    predictions = model.eval().predict(batch["image"])
    assert predictions["boxes"]["boxes"].shape[0] == 4
    assert predictions["largest"]["labels"].shape == (4,)
    assert not predictions["boxes"]["scores"].requires_grad


def test_the_settings_of_normalisation_are_not_weights(model: MultiTaskModel) -> None:
    assert not [name for name in model.state_dict() if name.startswith("inputs")]


def test_rejects_a_model_without_heads() -> None:
    with pytest.raises(ValueError, match="at least one head"):
        MultiTaskModel(ResidualFPN(), {})


def test_rejects_a_head_under_another_name_than_its_task() -> None:
    backbone = ResidualFPN()
    with pytest.raises(ValueError, match="head 'scene' was built for task 'largest'"):
        MultiTaskModel(backbone, {"scene": ClassificationHead(LARGEST, backbone.spec)})


def test_rejects_a_name_that_the_dict_of_heads_uses_itself() -> None:
    backbone, task = ResidualFPN(), Task("keys", "classification", 2)
    with pytest.raises(ValueError, match="a task cannot be named 'keys'"):
        MultiTaskModel(backbone, {"keys": ClassificationHead(task, backbone.spec)})


def test_a_loss_that_is_not_a_scalar_is_refused(model: MultiTaskModel, batch: Batch, monkeypatch: Any) -> None:
    outputs = model(batch)
    name = next(iter(model.heads))
    monkeypatch.setattr(model.heads[name], "loss", lambda *_: torch.zeros(4))
    with pytest.raises(ValueError, match=rf"gives task '{name}' a loss of shape \[4\]; expected a scalar"):
        model.losses(outputs, batch)


def test_a_head_that_does_not_say_which_metric_counts_or_which_kinds_it_serves_is_refused() -> None:
    backbone, task = ResidualFPN(IMAGE), Task("kind", "classification", 3)

    class _Unjudged(ClassificationHead):
        monitor = ("accuracy", "up")

    class _OneWord(ClassificationHead):
        kinds = "classification"  # type: ignore[assignment]

    with pytest.raises(ValueError, match="_Unjudged has monitor = .*'max' or 'min'"):
        MultiTaskModel(backbone, {"kind": _Unjudged(task, backbone.spec)})
    with pytest.raises(ValueError, match="_OneWord has no tuple of kinds"):
        _OneWord(task, backbone.spec)


def test_a_backbone_whose_input_is_not_there_or_that_has_no_spec_is_refused() -> None:
    backbone = ResidualFPN(IMAGE)
    with pytest.raises(ValueError, match="ResidualFPN takes 'image', as its `inputs` say; the data gives picture"):
        backbone.run({"picture": torch.zeros(1, 3, 32, 32)})
    del backbone.spec
    with pytest.raises(ValueError, match="ResidualFPN has no spec"):
        HardSharing(backbone, ["kind"])


@pytest.mark.parametrize(("width", "last"), [(12, False), (16, True)])
def test_filters_that_crash_channels_last_keep_the_other_layout(width: int, last: bool) -> None:
    # with torch 2.14 the backward of the narrow one ended the process on the CPU
    torch.manual_seed(0)
    trunk = ResidualFPN(width=width, pyramid_width=8)
    task = Task("kind", "classification", num_classes=3)
    model = MultiTaskModel(trunk, {"kind": ClassificationHead(task, trunk.spec)})
    assert model.channels_last == last
    assert all(part.channels_last == last for part in model.inputs.values())
    batch = {"image": torch.rand(4, 3, 120, 160), "kind": torch.tensor([0, 1, 2, 0])}
    for _ in range(3):
        model.losses(model(batch), batch)["kind"].backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
