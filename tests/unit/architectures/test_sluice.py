"""Sluice networks: subspaces that mix, sums over stages, the penalty, computed by hand."""

import pytest
import torch
from torch import nn

from mtl.architectures.sluice import Sluice, _writers
from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.task import InputSpec

ROW = {"row": InputSpec("row", "table", 4)}
WORDS = {"words": InputSpec("words", "tokens", 9)}


def make(widths: tuple[int, ...] = (6,), **settings: object) -> Sluice:
    return Sluice(TableMLP(ROW, widths), ["a", "b"], **settings)  # type: ignore[arg-type]


def test_every_subspace_is_a_sum_of_all_and_a_task_of_its_stages() -> None:
    made, row = make(), torch.randn(5, 4)
    for alpha in made.alphas:
        alpha.data = torch.randn(4, 4)
    x, seen = torch.stack((row, row)), []
    for stage in range(2):
        y = torch.stack([made.column(k).stages()[stage](x[k]) for k in range(2)])  # [K,B,C]
        parts = y.unflatten(-1, (2, -1)).movedim(2, 1).flatten(0, 1)  # [KG,B,C/G]
        mixed = torch.einsum("ij,jbc->ibc", made.alphas[stage], parts)
        x = mixed.unflatten(0, (2, 2)).movedim(1, 2).flatten(2)
        seen.append(x)
    cut = made.cut({"row": row})
    for task, name in enumerate("ab"):
        project = made.project.get_submodule(f"{task}.0")
        expected = 0.9 * seen[1][task] + 0.1 * project(seen[0][task])
        torch.testing.assert_close(made.view(cut, name)["h"], expected)


def test_shares_sum_to_one_at_the_start() -> None:
    made = make((6, 6, 5), own=0.7, last=0.4)
    assert made.subspaces == [2, 2, 2, 1], "5 channels cannot be halved"
    for alpha in made.alphas:
        torch.testing.assert_close(alpha.sum(1), torch.ones(len(alpha)))
        torch.testing.assert_close(alpha.diagonal(), torch.full((len(alpha),), 0.7))
    assert made.betas[1].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.4])


def test_the_penalty_is_the_overlap_of_the_rows_of_two_subspaces() -> None:
    made = make((4,), orthogonality=0.5)
    weights = [layer.weight for k in range(2) for layer in made.column(k).modules() if isinstance(layer, nn.Linear)]
    made.cut({"row": torch.randn(2, 4)})
    expected = sum((torch.dot(w[i], w[j]) ** 2 for w in weights for i in (0, 1) for j in (2, 3)), torch.zeros(()))
    torch.testing.assert_close(made.penalty(), 0.5 * expected)
    for weight in weights:
        weight.data = torch.eye(4)
    assert made.eval().penalty() == 0, "rows of one subspace are orthogonal to those of the other"
    assert make((4,), orthogonality=0.0).penalty() == 0


def test_weights_of_an_lstm_are_those_of_its_gates_that_read_the_input() -> None:
    trunk = BiLSTM(WORDS, embedding=6, hidden=3, layers=1)
    found = list(_writers(trunk.stages()[1], 6))
    assert [tuple(weight.shape) for weight in found] == [(6, 6)] * 4
    layer = trunk.layers[0]
    forget = torch.cat((layer.forwards.weight_ih_l0[3:6], layer.backwards.weight_ih_l0[3:6]))
    torch.testing.assert_close(found[1], forget)


def test_a_single_task_in_one_subspace_without_sums_is_its_trunk() -> None:
    trunk, row = TableMLP(ROW, (6,)), torch.randn(5, 4)
    made = Sluice(trunk, ["a"], subspaces=1, last=1.0)
    torch.testing.assert_close(made.view(made.cut({"row": row}), "a")["h"], trunk(row)["h"])
    with pytest.raises(ValueError, match="Sluice: subspaces=0 must be at least 1"):
        make(subspaces=0)
