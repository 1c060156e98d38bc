"""Branched: trees, their errors, and what is shared."""

from functools import partial
from typing import Any

import pytest
import torch

from mtl.architectures.branched import Branched
from mtl.backbones.table.mlp import TableMLP
from mtl.task import InputSpec
from tests.contract.kit.law import law_of

ROW = {"row": InputSpec("row", "table", 3)}
NAMES = ["first", "second", "third"]


def make(backbone: Any, names: list[str], tree: Any) -> Branched:
    return Branched(backbone, names, tree)


@pytest.mark.parametrize("ground", ["map", "sequence", "vector"])
@pytest.mark.parametrize(
    ("tree", "places"),
    [
        ({1: [["first", "second"], ["third"]]}, ["features", "parameters"]),
        ({2: [["first"], ["second", "third"]], 3: [["first"], ["second"], ["third"]]}, ["features", "parameters"]),
        ({4: [["third"], ["first", "second"]]}, ["features", "parameters"]),
        ({1: [["first"], ["second"], ["third"]]}, ["features", "parameters"]),
        ({}, ["features", "parameters"]),
    ],
)
def test_a_tree_obeys_the_law(ground: str, tree: Any, places: list[str]) -> None:
    found = law_of(partial(make, tree=tree), ground)
    # the first stage of a table has nothing to learn
    assert found == (["features"] if ground == "vector" and len(tree.get(1, [])) == 3 else places)


def test_tasks_of_a_group_go_one_way_and_others_their_own() -> None:
    made, row = Branched(TableMLP(ROW, (4, 2)), NAMES, {1: [["first", "third"], ["second"]]}), torch.randn(5, 3)
    cut = made.cut({"row": row})
    first, second, third = (made.view(cut, name)["h"] for name in NAMES)
    assert torch.equal(first, third)
    assert not torch.equal(first, second)
    node = made.nodes["2_first_"](made.nodes["1_first_"](row))
    torch.testing.assert_close(first, node)
    own = [sum(p.numel() for p in made.of_task[name].parameters()) for name in NAMES]
    assert own == [0, 3 * 4 + 4 + 4 * 2 + 2, 0]


def test_a_task_that_parts_late_reads_what_it_shared() -> None:
    made, row = Branched(TableMLP(ROW, (4, 2)), NAMES), torch.randn(5, 3)
    shared = made.nodes["1_first_"](row)
    for name in NAMES:
        branch: Any = made.of_task[name].get_submodule("branch")
        torch.testing.assert_close(made.view(made.cut({"row": row}), name)["h"], branch.stages()[2](shared))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({1: [["first"], ["second"]]}, "the groups at stage 1 must hold each of first, second, third once"),
        ({1: [["first", "frist"], ["second", "third"]]}, "tree names 'frist' at stage 1.*Did you mean 'first'"),
        ({0: [NAMES]}, "an entry for stage 0; stages that can part are 1..2, and 3 is what follows"),
        (
            {1: [["first"], ["second", "third"]], 2: [["first", "second"], ["third"]]},
            "stage 2 joins first and second, which parted before",
        ),
    ],
)
def test_what_is_no_tree_of_the_tasks_is_refused(tree: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Branched(TableMLP(ROW, (4, 2)), NAMES, tree)


def test_one_task_runs_alone() -> None:
    # as the rows of single tasks in a comparison do
    torch.manual_seed(0)
    plain, row = TableMLP(ROW, (4, 2)), torch.randn(5, 3)
    wanted = plain.run({"row": row})["h"]
    made = Branched(plain, ["only"])
    torch.testing.assert_close(made({"row": row})["only"]["h"], wanted)
