"""Weights of another run or file under every architecture, for other pictures, and what is refused."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtl.architectures.architecture import Architecture
from mtl.architectures.cross_stitch import CrossStitch
from mtl.architectures.film import FiLM
from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.lora import LoRA
from mtl.architectures.mmoe import MMoE
from mtl.architectures.pad_net import PADNet
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.image.torchvision_network import TorchvisionBackbone, build_network
from mtl.backbones.pretrained import over_channels
from mtl.features import FeatureSpec
from mtl.heads.sequence.crf_tagging import CRFTaggingHead
from mtl.runs.initial_weights import InitialWeights, load_start
from mtl.task import InputSpec, Task

TASKS = ["a", "b"]
WORDS = FeatureSpec({"t1": 6}, layouts={"t1": "sequence"})
TRUNK = partial(ResidualFPN, width=4, pyramid_width=8, blocks=2)


def image(channels: int) -> dict[str, InputSpec]:
    return {"image": InputSpec("image", "image", channels=channels)}


def saved(folder: Path, cls: type[Architecture], **state: Any) -> tuple[Architecture, str]:
    """A trunk with random statistics, and its checkpoint as a run writes it."""
    trunk = cls(TRUNK(image(3)), TASKS)
    with torch.no_grad():
        for value in trunk.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value))
    weights = {f"model.trunk.{name}": value for name, value in trunk.state_dict().items()}
    settings = {
        "tasks": {},
        "architecture": {"class_path": f"mtl.x.{cls.__name__}"} if cls is not HardSharing else None,
    }
    torch.save(
        {"state_dict": weights | {"model.heads.a.w": torch.zeros(1)}, "hyper_parameters": settings, **state},
        folder / "there.ckpt",
    )
    return trunk, str(folder / "there.ckpt")


def started(path: str, cls: type[Architecture], channels: int = 3, parts: Sequence[str] = ("trunk",)) -> Any:
    backbone = TRUNK(image(channels))
    rest = load_start(InitialWeights(path, list(parts)), backbone, image(channels))
    trunk = cls(backbone, TASKS)
    rest(nn.ModuleDict({"trunk": trunk}))
    return trunk


@pytest.mark.parametrize("cls", [HardSharing, FiLM, LoRA, MMoE, CrossStitch, PADNet])
def test_a_trunk_of_hard_sharing_starts_every_architecture(cls: type[Architecture], tmp_path: Path) -> None:
    there, path = saved(tmp_path, HardSharing)
    trunk = started(path, cls)
    for name, value in there.state_dict().items():
        assert any(torch.equal(value, other) for other in trunk.state_dict().values()), name


def test_all_experts_start_from_the_trunk(tmp_path: Path) -> None:
    there, path = saved(tmp_path, HardSharing)
    experts: Any = started(path, MMoE).experts
    last = next(name for name in there.state_dict() if "blocks.2" in name).removeprefix("backbone.")
    for expert in experts:
        assert torch.equal(expert.state_dict()[last], there.state_dict()[f"backbone.{last}"])


@pytest.mark.parametrize("typo", ["trunk.backbone.stm", "trunk.of_tasks"])
def test_a_part_that_is_not_there_is_refused_behind_one_that_is(tmp_path: Path, typo: str) -> None:
    _, path = saved(tmp_path, HardSharing)
    with pytest.raises(ValueError, match=f"this model has no part '{typo}'"):
        started(path, HardSharing, parts=["trunk", typo])


def test_a_part_may_be_a_single_tensor_and_no_part_is_an_error(tmp_path: Path) -> None:
    there, path = saved(tmp_path, HardSharing)
    name, other = "backbone.stem.0.weight", "backbone.stem.1.weight"
    taken = started(path, HardSharing, parts=[f"trunk.{name}"]).state_dict()
    assert torch.equal(taken[name], there.state_dict()[name])
    assert not torch.equal(taken[other], there.state_dict()[other])
    with pytest.raises(ValueError, match="nothing would be taken"):
        started(path, HardSharing, parts=[])


def test_an_architecture_starts_its_own_kind_and_no_other(tmp_path: Path) -> None:
    there, path = saved(tmp_path, FiLM)
    trunk = started(path, FiLM)
    for name, value in there.state_dict().items():
        assert torch.equal(trunk.state_dict()[name], value), name
    with pytest.raises(ValueError, match=r"is one of FiLM, and here it is one of HardSharing.*28 of 108 shared ones"):
        started(path, HardSharing)
    with pytest.raises(ValueError, match=r"is one of FiLM, and here it is one of LoRA.*a run of LoRA"):
        started(path, LoRA)


def test_a_trunk_that_an_architecture_leaves_whole_starts_another(tmp_path: Path) -> None:
    there, path = saved(tmp_path, PADNet)
    trunk = started(path, HardSharing)
    assert trunk.state_dict()
    for name, value in trunk.state_dict().items():
        assert torch.equal(there.state_dict()[name], value), name
    again = started(path, PADNet)
    for name, value in there.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_a_file_of_torchvision_fills_all_stages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = build_network("resnet18", None)
    torch.save({f"module.{name}": value for name, value in network.state_dict().items()}, tmp_path / "resnet18.pth")
    backbone = TorchvisionBackbone(image(3), levels=("p4",), pyramid_channels=8)
    with caplog.at_level(logging.INFO, "mtl"):
        load_start(InitialWeights(str(tmp_path / "resnet18.pth")), backbone, image(3))
    last = next(v for name, v in backbone.state_dict().items() if name.endswith("layer3.1.conv2.weight"))
    assert torch.equal(last, network.state_dict()["layer3.1.conv2.weight"])
    assert "120 of 126 tensors of 'trunk' taken; missing there: trunk.backbone.pyramid" in caplog.text
    assert caplog.records[-1].levelno == logging.INFO


def test_another_network_is_told_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(build_network("resnet50", None).state_dict(), tmp_path / "resnet50.pth")
    load_start(InitialWeights(str(tmp_path / "resnet50.pth")), TorchvisionBackbone(image(3)), image(3))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "and the others start at random" in record.getMessage()


@pytest.mark.parametrize("channels", [1, 4])
def test_filters_over_colours_are_averaged_for_other_pictures(
    channels: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there, path = saved(tmp_path, HardSharing)
    with caplog.at_level(logging.INFO, "mtl"):
        trunk = started(path, HardSharing, channels)
    weight, stored = trunk.backbone.stem[0].weight, there.state_dict()["backbone.stem.0.weight"]
    grey = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(
        nn.functional.conv2d(grey.expand(-1, channels, -1, -1), weight),
        nn.functional.conv2d(grey.expand(-1, 3, -1, -1), stored),
    )
    assert f"the 3 channels of trunk.backbone.stem.0.weight averaged for the {channels} of the pictures" in caplog.text
    assert "108 of 108" in caplog.text


def test_averaged_filters_keep_their_sum() -> None:
    weight = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    assert over_channels(weight, 1).flatten().tolist() == [9.0]
    assert over_channels(weight, 4).flatten().tolist() == [2.25] * 4


def crf(names: tuple[str, ...]) -> CRFTaggingHead:
    return CRFTaggingHead(Task("slots", "tags", class_names=names), WORDS)


def test_scores_of_tags_behind_tags_are_matched_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    there, here = ("O", "B-a", "I-a", "B-b"), ("B-b", "O", "B-c", "B-a")
    other, own = crf(there), crf(here)
    with torch.no_grad():
        for value in other.parameters():
            value.copy_(torch.rand_like(value))
    weights = {f"model.heads.slots.{name}": value for name, value in other.state_dict().items()}
    state = {"state_dict": weights, "hyper_parameters": {"tasks": {"slots": {"class_names": list(there)}}}}
    torch.save({**state, "global_step": 1}, tmp_path / "there.ckpt")
    InitialWeights(str(tmp_path / "there.ckpt"), ["heads"]).read().load_into(
        nn.ModuleDict({"heads": nn.ModuleDict({"slots": own})})
    )
    assert "by number" not in caplog.text
    for row, name in enumerate(here):
        known = name in there
        assert own.first[row] == (other.first[there.index(name)] if known else 0)
        for column, then in enumerate(here):
            expected: Tensor | int = other.steps[there.index(name), there.index(then)] if known and then in there else 0
            assert own.steps[row, column] == expected, (name, then)
