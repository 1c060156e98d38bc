"""Learned branching: mixes of parents by hand, draws, the tree that evaluation runs."""

import copy

import pytest
import torch

from mtl.architectures.branched import Branched
from mtl.architectures.learned_branching import LearnedBranching
from mtl.architectures.parts.cost import cost_alone
from mtl.backbones.table.mlp import TableMLP
from mtl.functional.counter_random import counter_uniform
from mtl.task import InputSpec

ROW = {"row": InputSpec("row", "table", 3)}
NAMES = ["a", "b", "c"]


def make(**settings: object) -> LearnedBranching:
    return LearnedBranching(TableMLP(ROW, (4, 4)), NAMES, **settings)  # type: ignore[arg-type]


def choose(made: LearnedBranching, parents: list[int], leaves: list[int]) -> None:
    """Of the nodes of stage 2, and of the tasks."""
    for logits, picked in zip(made.logits, (parents, leaves), strict=True):
        logits.data = torch.nn.functional.one_hot(torch.tensor(picked), 3).float()


def test_a_draw_is_the_softmax_of_logits_and_gumbel_noise() -> None:
    made = make(temperature=(2.0, 2.0), seed=5)
    made.logits[1].data = torch.arange(9.0).view(3, 3)
    made.cut({"row": torch.randn(2, 3)})
    u = counter_uniform(5, torch.tensor(1), 9, stream=1).view(3, 3)
    expected = torch.exp((torch.arange(9.0).view(3, 3) - torch.log(-torch.log(u))) / 2)
    torch.testing.assert_close(made.picks()[1], expected / expected.sum(1, keepdim=True))
    twin = make(temperature=(2.0, 2.0), seed=5)
    twin.load_state_dict(made.state_dict())
    torch.testing.assert_close(twin.picks()[1], made.picks()[1], rtol=0, atol=0)


def test_nodes_read_what_their_parents_give_under_the_draw() -> None:
    made, row = make(), torch.randn(5, 3)
    cut = made.cut({"row": row})
    stages = [made.column(node).stages() for node in range(3)]
    parents, leaves = made.picks()
    first = [stage[1](row) for stage in stages]
    second = [stages[i][2](sum(parents[i, j] * first[j] for j in range(3))) for i in range(3)]
    for task, name in enumerate(NAMES):
        expected = sum(leaves[task, i] * second[i] for i in range(3))
        torch.testing.assert_close(made.view(cut, name)["h"], expected)


def test_in_evaluation_it_is_the_tree_that_it_names_and_branched_runs() -> None:
    made, row = make().eval(), torch.randn(5, 3)
    choose(made, parents=[2, 0, 2], leaves=[1, 0, 2])
    assert made.tree() == {1: [["a"], ["b", "c"]], 2: [["a"], ["b"], ["c"]], 3: [["a"], ["b"], ["c"]]}
    Branched(TableMLP(ROW, (4, 4)), NAMES, made.tree())
    shared = made.column(2).stages()[1](row)
    cut = made.cut({"row": row})
    torch.testing.assert_close(made.view(cut, "b")["h"], made.column(0).stages()[2](shared))
    torch.testing.assert_close(made.view(cut, "c")["h"], made.column(2).stages()[2](shared))


def test_hardened_it_is_one_trunk_with_the_stages_of_its_path() -> None:
    made, row = make().eval(), torch.randn(5, 3)
    choose(made, parents=[2, 0, 2], leaves=[1, 0, 2])
    alone = copy.deepcopy(made)
    alone.harden("a")
    torch.testing.assert_close(
        alone.view(alone.cut({"row": row}), "a")["h"], made.view(made.cut({"row": row}), "a")["h"]
    )
    assert cost_alone(made, "a", {"row": row}).parameters == sum(p.numel() for p in TableMLP(ROW, (4, 4)).parameters())
    assert len(made.columns) == 3, "it stays as it is"


def test_it_begins_as_hard_sharing_in_evaluation_and_a_single_task_is_its_trunk() -> None:
    made, row = make().eval(), torch.randn(5, 3)
    cut = made.cut({"row": row})
    assert torch.equal(made.view(cut, "a")["h"], made.view(cut, "c")["h"])
    trunk = TableMLP(ROW, (4, 4))
    single = LearnedBranching(trunk, ["a"])
    torch.testing.assert_close(single.view(single.cut({"row": row}), "a")["h"], trunk(row)["h"])


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"LearnedBranching: temperature=\(1.0, 0.0\)"):
        make(temperature=(1.0, 0.0))
    with pytest.raises(ValueError, match=r"shared_stages=3 must lie within 1..2; TableMLP has 3 stages"):
        make(shared_stages=3)
