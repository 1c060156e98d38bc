"""FiLM, task norms, adapters, LoRA: one trunk once a task, computed by hand."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtl.architectures.adapters import Adapters
from mtl.architectures.architecture import Architecture
from mtl.architectures.film import FiLM
from mtl.architectures.lora import LoRA
from mtl.architectures.task_specific_norm import TaskSpecificNorm
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.task import InputSpec
from tests.contract.kit.law import law_of

ROW = {"row": InputSpec("row", "table", 3)}
WORDS = {"words": InputSpec("words", "tokens", 9)}


def random_own(made: Architecture) -> None:
    for parameter in made.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)


def test_film_multiplies_and_shifts_behind_every_stage() -> None:
    made, row = FiLM(TableMLP(ROW, (4,)), ["a", "b"]), torch.randn(5, 3)
    random_own(made)
    b = made.of_task["b"]
    x = row * b.get_parameter("factors.0") + b.get_parameter("shifts.0")
    x = made.backbone.stages()[1](x) * b.get_parameter("factors.1") + b.get_parameter("shifts.1")
    torch.testing.assert_close(made.view(made.cut({"row": row}), "b")["h"], x)


def test_squeeze_weighs_the_channels_of_a_sample_by_its_mean() -> None:
    made, image = FiLM(ResidualFPN(width=4), ["a"], squeeze=2), torch.randn(2, 4, 8, 8)
    out, _ = made.change((image, None), "a", 0)
    layers = made.of_task["a"].get_submodule("squeezes.0.weigh")
    hidden = F.relu(layers.get_submodule("0")(image.mean((2, 3))))
    assert hidden.shape == (2, 2)
    share = torch.sigmoid(layers.get_submodule("2")(hidden))
    torch.testing.assert_close(out, image * share[:, :, None, None])


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (FiLM, {"squeeze": 2, "shared_stages": 2}),
        (TaskSpecificNorm, {"sigmoid": True}),
        (LoRA, {"freeze": False, "shared": False}),
        (Adapters, {"freeze": False, "shared": False, "shared_stages": 3}),
    ],
)
def test_other_settings_obey_the_law(cls: type[Architecture], settings: dict[str, Any]) -> None:
    def make(backbone: object, names: list[str]) -> Architecture:
        return cls(backbone, names, **settings)  # type: ignore[arg-type]

    assert law_of(make, "map") == ["parameters"]


def test_every_task_has_statistics_of_its_own() -> None:
    made = TaskSpecificNorm(ResidualFPN(width=4, pyramid_width=4), ["a", "b"])
    image = torch.randn(4, 3, 32, 32)
    made.view(made.cut({"image": image}), "a")
    assert made.of_task["a"].get_buffer("norms.0.num_batches_tracked") == 1
    assert made.of_task["b"].get_buffer("norms.0.num_batches_tracked") == 0
    own = sum(p.numel() for p in made.of_task["a"].parameters())
    norms = [m for m in ResidualFPN(width=4, pyramid_width=4).modules() if isinstance(m, nn.BatchNorm2d)]
    assert own == sum(2 * norm.num_features for norm in norms) - 2 * 4, "all norms but that of the stem"


def test_the_factor_of_a_norm_may_be_a_sigmoid() -> None:
    made = TaskSpecificNorm(ResidualFPN(width=4), ["a"], sigmoid=True)
    norm = made.of_task["a"].get_submodule("norms.0")
    norm.get_parameter("gate").data.normal_()
    x = torch.randn(4, 4, 8, 8)
    expected = F.batch_norm(x, None, None, norm.get_parameter("gate").sigmoid(), training=True)
    torch.testing.assert_close(norm(x), expected)


def test_adapters_begin_as_nothing_and_are_a_narrow_layer() -> None:
    backbone, row = TableMLP(ROW, (4,)), torch.randn(5, 3)
    before = backbone(row)["h"]
    made = Adapters(backbone, ["a"], width=2)
    torch.testing.assert_close(made.view(made.cut({"row": row}), "a")["h"], before)
    random_own(made)
    own, shared = made.of_task["a"].get_submodule("adapters.1"), made.shared[1]
    x = torch.randn(5, 4)
    out, _ = made.change((x, None), "a", 1)
    by_hand = [part.up(F.relu(part.down(x))) for part in (own, shared)]  # type: ignore[operator]
    torch.testing.assert_close(out, x + by_hand[0] + by_hand[1])


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(6, 5), nn.Conv2d(6, 5, 3, stride=2, padding=1), nn.Conv2d(6, 5, 1, bias=False), nn.Conv1d(6, 5, 3)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_low_rank_addition_merges_exactly(layer: nn.Module) -> None:
    class Two(ResidualFPN):
        def __init__(self) -> None:
            super().__init__(width=4)
            self.blocks[0] = copy.deepcopy(layer)

    made = LoRA(Two(), ["a", "b"], rank=2, alpha=6.0)
    added: Any = made.backbone.get_submodule("blocks.0")
    for parameter in made.parameters():
        parameter.data.normal_()
    made.take_turn("a")
    x = torch.randn(3, 6, 9, 7) if isinstance(layer, nn.Conv2d) else torch.randn(3, 6, 6)
    out = added(x)
    torch.testing.assert_close(added.merged("a")(x), out, rtol=1e-4, atol=1e-4)
    if isinstance(layer, nn.Linear):
        a, own, common = added.layer, added.of("a"), added.common
        delta = own.up.weight @ own.down.weight + common.up.weight @ common.down.weight
        torch.testing.assert_close(out, x @ (a.weight + 3.0 * delta).T + a.bias, rtol=1e-4, atol=1e-4)


def test_a_frozen_trunk_learns_additions_and_norms_only() -> None:
    made = LoRA(ResidualFPN(width=4, pyramid_width=4), ["a"])
    learning = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[-3] for name in learning if "common" in name} == {"common"}
    assert not [name for name in learning if ".layer." in name or ".stem." in name]
    assert [name for name in learning if name.startswith("of_task.a.norms.")]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoRA(BiLSTM(WORDS), ["a"]), "LoRA adds to linear layers and convolutions, and BiLSTM has none.*Adapt"),
        (lambda: LoRA(TableMLP(ROW), ["a"], rank=0), "rank=0 must be at least 1"),
        (lambda: Adapters(TableMLP(ROW), ["a"], width=0), "width=0 must be at least 1"),
        (lambda: TaskSpecificNorm(TableMLP(ROW), ["a"]), "TableMLP has none behind its first 1 stages. Take FiLM"),
        (lambda: FiLM(TableMLP(ROW), ["a"], squeeze=-1), "squeeze=-1 must be 0"),
        (lambda: FiLM(TableMLP(ROW), ["a"], shared_stages=3), "shared_stages=3 must lie within 1..2"),
    ],
)
def test_what_cannot_work_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
