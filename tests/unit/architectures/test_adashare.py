"""AdaShare: draws, their gradient, the penalty by hand, annealing that resumes."""

import copy
import math

import pytest
import torch
from torch import nn

from mtl.architectures.adashare import AdaShare
from mtl.architectures.parts.steps import Steps
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.backbones.table.mlp import TableMLP
from mtl.functional.counter_random import counter_uniform
from mtl.task import InputSpec

ROW = {"row": InputSpec("row", "table", 3)}


def make(**settings: object) -> AdaShare:
    return AdaShare(TableMLP(ROW, (4, 4, 4)), ["a", "b"], **settings)  # type: ignore[arg-type]


def test_a_draw_is_hard_forward_and_soft_backward() -> None:
    made = make(temperature=(2.0, 2.0), seed=7)
    made.cut({"row": torch.randn(2, 3)})
    policy = made.of_task["b"].get_parameter("policy")
    share = made.shares("b")
    assert set(share.tolist()) <= {0.0, 1.0}
    u = counter_uniform(7, torch.tensor(1), 2, stream=1)
    soft = torch.sigmoid((policy.detach() + torch.log(u / (1 - u))) / 2.0)
    torch.testing.assert_close(share, (soft >= 0.5).float())
    (gradient,) = torch.autograd.grad(share.sum(), policy)
    torch.testing.assert_close(gradient, soft * (1 - soft) / 2.0)


def test_a_share_mixes_a_block_with_what_it_was_given() -> None:
    made, x = make(), torch.randn(5, 4)
    made.turn.shares = torch.tensor([0.25, 1.0])
    block = made.backbone.stages()[2]
    torch.testing.assert_close(block(x), 0.25 * block.get_submodule("block")(x) + 0.75 * x)


def test_penalty_by_hand() -> None:
    made = make(sparsity=0.5, sharing=2.0)
    made.of_task["a"].get_parameter("policy").data = torch.tensor([0.0, 1.0])
    made.of_task["b"].get_parameter("policy").data = torch.tensor([1.0, -1.0])
    p = {x: 1 / (1 + math.exp(-x)) for x in (-1.0, 0.0, 1.0)}
    sparsity = sum(-math.log(1 - p[x]) for x in (0.0, 1.0, 1.0, -1.0))
    sharing = 1.0 * abs(p[0.0] - p[1.0]) + 0.5 * abs(p[1.0] - p[-1.0])
    assert made.penalty().item() == pytest.approx(0.5 * sparsity + 2.0 * sharing, rel=1e-5)
    assert AdaShare(TableMLP(ROW, (4, 4)), ["a"]).penalty().isfinite()


def test_steps_anneal_resume_and_count_training_only() -> None:
    steps = Steps(4)
    for _ in range(2):
        steps.advance()
    assert steps.between(8.0, 0.5).item() == pytest.approx(2.0)
    with torch.no_grad():
        steps.advance()
    steps.eval().advance()
    twin = Steps(4)
    twin.load_state_dict(steps.state_dict())
    assert twin.count == 2
    twin.train()
    for _ in range(9):
        twin.advance()
    assert twin.between(8.0, 0.5).item() == pytest.approx(0.5)
    with pytest.raises(ValueError, match="anneal_steps=0"):
        Steps(0)


def test_hardened_it_has_only_the_blocks_that_its_task_runs() -> None:
    made = make().eval()
    made.of_task["a"].get_parameter("policy").data = torch.tensor([-1.0, 1.0])
    row = torch.randn(5, 3)
    before = made.view(made.cut({"row": row}), "a")["h"]
    alone = copy.deepcopy(made)
    alone.harden("a")
    assert isinstance(alone.backbone.stages()[2], nn.Identity)
    torch.testing.assert_close(alone.view(alone.cut({"row": row}), "a")["h"], before)


def test_a_backbone_without_blocks_to_skip_is_refused() -> None:
    with pytest.raises(ValueError, match="AdaShare skips blocks.*SeedCNN has none behind its first 1 stages"):
        AdaShare(SeedCNN(), ["a"])
    with pytest.raises(ValueError, match="ResidualFPN has none.*`blocks: 2`"):
        AdaShare(ResidualFPN(), ["a"])
    assert len(ResidualFPN(blocks=3).skippable()) == 6
