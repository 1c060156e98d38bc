"""MTAN, PAD-Net, cross-task attention, task tokens: what tasks take from each other, computed by hand."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mtl.architectures.cross_task_attention import CrossTaskAttention, spread
from mtl.architectures.mtan import MTAN
from mtl.architectures.pad_net import PADNet
from mtl.architectures.task_tokens import TaskTokens
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.task import InputSpec
from tests.contract.kit.law import law_of

ROW = {"row": InputSpec("row", "table", 3)}
WORDS = {"words": InputSpec("words", "tokens", 9)}


def test_attention_of_a_task_is_a_mask_on_every_stage() -> None:
    made, row = MTAN(TableMLP(ROW, (4,)), ["a", "b"], reduction=2), torch.randn(5, 3)
    part: Any = made.of_task["b"]
    p = [row, made.stages[1](row)]
    before = None
    for stage in range(2):
        read = p[stage] if before is None else torch.cat((p[stage], before), 1)
        w1, norm1, _ = part.attention[stage].first
        w2, norm2, _ = part.attention[stage].second
        a = torch.sigmoid(norm2(w2(F.relu(norm1(w1(read)))))) * p[stage]
        if stage == 0:
            conv, norm = part.refine[0].layers
            before = F.relu(norm(conv(a)))
    torch.testing.assert_close(made.view(made.cut({"row": row}), "b")["h"], a)


@pytest.mark.parametrize("ground", ["map", "sequence", "vector"])
def test_shared_refinement_is_used_behind_the_cut_and_obeys_the_law(ground: str) -> None:
    def make(backbone: Any, names: list[str]) -> MTAN:
        return MTAN(backbone, names, refine="shared")

    assert law_of(make, ground) == ["parameters"]
    assert make(TableMLP(ROW), ["a"]).shared_after_cut


def test_pad_net_adds_what_the_gates_let_through() -> None:
    made, row = PADNet(TableMLP(ROW, (4,)), ["a", "b", "c"]), torch.randn(5, 3)
    shared = made.backbone.run({"row": row})
    of = {name: made.features(shared, name)["h"] for name in "abc"}
    distill: Any = made.of_task["b"].get_submodule("distill.h_")
    expected = of["b"]
    for other in "ac":
        part = distill[f"{other}_"]
        expected = expected + torch.sigmoid(part.gate(of[other])) * part.features(of[other])
    cut = made.cut({"row": row})
    torch.testing.assert_close(made.view(cut, "b")["h"], expected)
    torch.testing.assert_close(made.initial(cut, "b")["h"], of["b"])


def test_joint_attention_is_softmax_over_the_cells_of_all_tasks() -> None:
    made = CrossTaskAttention(TableMLP(ROW, (4,)), ["a", "b", "c"], width=6, heads=1)
    row = torch.randn(5, 3)
    block: Any = made.blocks[0]
    shared = made.backbone.run({"row": row})
    of = [made.features(shared, name)["h"] for name in "abc"]
    x = torch.stack([made.read(value) for value in of], 1) + made.of[:, 0]
    normed = F.layer_norm(x, (6,))
    q, (k, v) = block.query(normed), block.key_value(normed).chunk(2, -1)
    weights = (q @ k.transpose(1, 2) / math.sqrt(6)).softmax(-1)
    x = x + block.out(weights @ v)
    x = x + block.layer(F.layer_norm(x, (6,)))
    expected = of[1] + made.write["h_"](x[:, 1])
    torch.testing.assert_close(made.view(made.cut({"row": row}), "b")["h"], expected, rtol=1e-4, atol=1e-5)


def test_rows_of_a_map_go_to_the_nearest_cells_of_another() -> None:
    rows, like = torch.arange(4.0).view(1, 4, 1), torch.zeros(1, 1, 4, 4)
    out = spread(rows, (2, 2), "map", like, "map")
    assert out[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert spread(rows, (2, 2), "map", like, "vector").tolist() == [[1.5]]
    assert spread(rows, None, "sequence", torch.zeros(1, 3, 1), "sequence").tolist() == [[[1.5]]]


def test_keys_of_fewer_cells_see_the_same_constant_map() -> None:
    names, image = ["a", "b"], torch.randn(1, 3, 1, 1).expand(1, 3, 64, 64)
    torch.manual_seed(0)
    made = CrossTaskAttention(ResidualFPN(width=4, pyramid_width=4), names, width=4, key_stride=2).eval()
    tokens = torch.randn(1, 2, 1, 4).expand(1, 2, 16, 4)
    block: Any = made.blocks[0]
    pooled = block(tokens, (4, 4), None)
    block.key_stride = 1
    torch.testing.assert_close(block(tokens, (4, 4), None), pooled)
    assert made.view(made.cut({"image": image}), "a")["p2"].shape == (1, 4, 16, 16)


def test_a_token_weighs_the_cells_by_its_affinity() -> None:
    made = TaskTokens(BiLSTM(WORDS, embedding=4, hidden=2, dropout=0.0), ["a", "b"])
    words = torch.tensor([[2, 3, 4], [5, 2, 0]])
    mask = words > 0
    cut = made.cut({"words": words, "words_mask": mask})
    query = made.of_task["b"].get_submodule("query.t1_")(cut["token/b"])
    affinity = torch.einsum("btc,bc->bt", cut["t1"], query) / math.sqrt(4)
    expected = 2 * torch.sigmoid(affinity)[..., None] * cut["t1"]
    torch.testing.assert_close(made.view(cut, "b")["t1"], expected)
    assert cut["t1"].shape == (2, 3, 4)
    assert cut["t1_mask"].tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaskTokens(ResidualFPN(), ["a"]), "TaskTokens adds steps to sequences.*ResidualFPN are maps"),
        (lambda: CrossTaskAttention(TableMLP(ROW), ["a"], width=6, heads=4), "heads must divide width"),
        (lambda: PADNet(TableMLP(ROW), ["a"], first_weight=-1.0), "PADNet: first_weight=-1.0 must be at least 0"),
    ],
)
def test_what_cannot_work_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
