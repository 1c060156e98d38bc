"""MMoE, DSelect-k, PLE: experts and gates, computed by hand."""

import math

import pytest
import torch
from torch import Tensor

from mtl.architectures.dselect_k import DSelectK, SelectorGate, smooth_step
from mtl.architectures.mmoe import MMoE
from mtl.architectures.ple import PLE
from mtl.backbones.backbone import StagedBackbone, run_stages
from mtl.backbones.table.mlp import TableMLP
from mtl.task import InputSpec
from tests.contract.kit.law import law_of

ROW = {"row": InputSpec("row", "table", 3)}


def behind(expert: object, stages: range, x: Tensor) -> Tensor:
    assert isinstance(expert, StagedBackbone)
    return run_stages([expert.stages()[stage] for stage in stages], (x, None))[-1][0]


def test_a_view_is_the_sum_of_the_experts_under_the_gate_of_the_task() -> None:
    made, row = MMoE(TableMLP(ROW, (4, 2)), ["a", "b"], experts=3), torch.randn(5, 3)
    gate = made.of_task["b"].get_submodule("gate")(row).softmax(-1)
    expected = sum(gate[:, [e]] * behind(made.experts[e], range(1, 3), row) for e in range(3))
    torch.testing.assert_close(made.view(made.cut({"row": row}), "b")["h"], expected)


def test_smooth_step_is_the_cubic_of_the_paper() -> None:
    x = torch.tensor([-9.0, -1.0, 0.0, 0.5, 1.0, 9.0], requires_grad=True)
    out = smooth_step(x, width=2.0)
    # -2 t^3 / 8 + 3 t / 4 + 1/2
    torch.testing.assert_close(out, torch.tensor([0.0, 0.0, 0.5, 0.84375, 1.0, 1.0]))
    out.sum().backward()
    assert x.grad is not None
    assert x.grad[[0, 5]].tolist() == [0, 0]
    assert x.grad[2] == pytest.approx(0.75)


def test_settled_selectors_take_exactly_so_many_experts() -> None:
    gate = SelectorGate(width=1, experts=4, selected=2, step=1.0)
    # selector 0: bits 1, 0 -> expert 1; selector 1: bits 0, 1 -> expert 2; shares 1/4 and 3/4
    gate.read.weight.data.zero_()
    gate.read.bias.data = torch.tensor([0.0, 9.0, -9.0, math.log(3), -9.0, 9.0])
    share_BI, chosen_BIE = gate(torch.zeros(1, 1))
    torch.testing.assert_close(share_BI, torch.tensor([[0.25, 0.75]]))
    assert chosen_BIE.tolist() == [[[0, 1, 0, 0], [0, 0, 1, 0]]]
    assert gate.unsettled(torch.zeros(1, 1)).tolist() == [0]


def test_the_penalty_is_the_entropy_and_keeps_from_codes_of_no_expert() -> None:
    gate = SelectorGate(width=1, experts=4, selected=1, step=1.0)
    gate.read.weight.data.zero_()
    assert gate.unsettled(torch.zeros(2, 1)).tolist() == pytest.approx([math.log(4)] * 2)
    three = SelectorGate(width=1, experts=3, selected=1, step=1.0)
    three.read.weight.data.zero_()
    # each of 4 codes 1/4: entropy of three of them, and 1 / (3/4)
    assert three.unsettled(torch.zeros(1, 1)).item() == pytest.approx(0.75 * math.log(4) + 4 / 3)
    three.read.bias.data = torch.tensor([0.0, 9.0, 9.0])  # code 3, of no expert
    assert math.isfinite(three.unsettled(torch.zeros(1, 1)).item())


def test_penalty_is_the_mean_over_samples_of_all_tasks() -> None:
    made = DSelectK(TableMLP(ROW, (4,)), ["a", "b"], experts=4, selected=1, entropy=0.5)
    for name in ("a", "b"):
        made.of_task[name].get_parameter("gate.read.weight").data.zero_()
    made.cut({"row": torch.randn(5, 3)})
    assert made.penalty().item() == pytest.approx(0.5 * 2 * math.log(4))


@pytest.mark.parametrize("experts", [3, 4])
def test_gates_sum_to_one_where_every_code_has_an_expert(experts: int) -> None:
    made = DSelectK(TableMLP(ROW, (4,)), ["a"], experts=experts, selected=2)
    total = made.gates(torch.randn(6, 3), "a").sum(-1)
    assert torch.allclose(total, torch.ones(6)) == (experts == 4)


def test_one_layer_is_customized_gate_control() -> None:
    made = PLE(TableMLP(ROW, (4, 2)), ["a", "b"], layers=1, shared_experts=2, own_experts=1)
    row = torch.randn(5, 3)
    gate = made.of_task["a"].get_submodule("gate")(row).softmax(-1)
    own = behind(made.of_task["a"].get_submodule("experts.0"), range(1, 3), row)
    shared = [behind(made.shared[e], range(1, 3), row) for e in range(2)]
    expected = gate[:, [0]] * own + gate[:, [1]] * shared[0] + gate[:, [2]] * shared[1]
    torch.testing.assert_close(made.view(made.cut({"row": row}), "a")["h"], expected)


def test_two_layers_are_progressive_extraction() -> None:
    made = PLE(TableMLP(ROW, (4, 2)), ["a", "b"], layers=2)
    row = torch.randn(5, 3)
    own = {name: made.early.get_submodule(f"{name}.0.0")(row) for name in "ab"}
    shared = behind(made.shared[0], range(1, 2), row)
    of = {name: gate(row).softmax(-1) for name, gate in made.gates[0].named_children()}
    a = of["a_gate"][:, [0]] * own["a"] + of["a_gate"][:, [1]] * shared
    mixed = [of["shared_gate"][:, [k]] * value for k, value in enumerate((own["a"], own["b"], shared))]
    last = behind(made.shared[0], range(2, 3), torch.stack(mixed).sum(0))
    gate = made.of_task["a"].get_submodule("gate")(a).softmax(-1)
    mine = behind(made.of_task["a"].get_submodule("experts.0"), range(2, 3), a)
    torch.testing.assert_close(made.view(made.cut({"row": row}), "a")["h"], gate[:, [0]] * mine + gate[:, [1]] * last)


@pytest.mark.parametrize("ground", ["map", "sequence", "vector"])
def test_layers_obey_the_law(ground: str) -> None:
    def make(backbone: object, names: list[str]) -> PLE:
        return PLE(backbone, names, layers=2, own_experts=2)  # type: ignore[arg-type]

    assert law_of(make, ground) == ["features", "parameters"]


def test_experts_of_a_last_layer_are_the_tasks_own_and_earlier_ones_shared() -> None:
    made = PLE(TableMLP(ROW, (4, 2)), ["a", "b"], layers=2)
    own = {name: sum(p.numel() for p in part.parameters()) for name, part in made.of_task.items()}
    assert own == dict.fromkeys("ab", (4 * 2 + 2) + (4 * 2 + 2))  # a layer of 4 x 2, and a gate of 4 x 2


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (MMoE, {"experts": 1}, "MMoE: experts=1 must be at least 2"),
        (DSelectK, {"selected": 5}, "DSelectK: selected=5 must lie within 1..4"),
        (DSelectK, {"shared_stages": 3}, "DSelectK: experts=4 must be at least 2, and shared_stages=3 from 1 to 2"),
        (PLE, {"layers": 3}, "shared_stages=1 must leave stages for layers=3"),
        (PLE, {"own_experts": 0}, "own_experts=0 must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused(cls: type[MMoE], settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cls(TableMLP(ROW, (4, 2)), ["a", "b"], **settings)


def test_a_task_cannot_take_the_name_of_the_common_experts() -> None:
    with pytest.raises(ValueError, match="cannot be called 'shared'"):
        PLE(TableMLP(ROW, (4, 2)), ["shared", "b"])
