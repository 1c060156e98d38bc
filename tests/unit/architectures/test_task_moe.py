"""Task mixture of experts: gates, information, means over ranks, computed by hand."""

import math

import pytest
import torch
import torch.distributed as dist

from mtl.architectures.task_moe import Experts, TaskMoE, mutual_information
from mtl.backbones.table.mlp import TableMLP
from mtl.backbones.text.bilstm import BiLSTM
from mtl.distributed.normaliser import mean_over_ranks
from mtl.task import InputSpec
from tests.conftest import RunRanks

ROW = {"row": InputSpec("row", "table", 3)}


def make(**settings: object) -> TaskMoE:
    torch.manual_seed(0)
    made = TaskMoE(TableMLP(ROW, (4, 4)), ["a", "b"], experts=3, width=2, **settings)  # type: ignore[arg-type]
    for name, parameter in made.named_parameters():
        if "experts" in name:
            parameter.data = torch.randn_like(parameter)
    return made


def by_hand(made: TaskMoE, x: torch.Tensor, name: str, place: int) -> torch.Tensor:
    """Each sample through the likeliest experts, one after the other."""
    share = made.of_task.get_submodule(f"{name}.routers.{place}")(x).softmax(-1)
    down, up = made.experts[place].down, made.experts[place].up
    rows = []
    for values, gate in zip(x, share, strict=True):
        out = values
        for expert in gate.argsort(descending=True)[: made.selected].tolist():
            own = slice(2 * expert, 2 * expert + 2)
            hidden = torch.relu(down.weight[own] @ values + down.bias[own])
            out = out + gate[expert] * (up.weight[:, own] @ hidden)
        rows.append(out)
    return torch.stack(rows)


@pytest.mark.parametrize("selected", [1, 2, 3])
def test_a_cell_runs_through_the_likeliest_experts_of_its_task(selected: int) -> None:
    made, row = make(selected=selected), torch.randn(6, 3)
    x = by_hand(made, made.backbone.stages()[1](row), "b", 0)
    x = by_hand(made, made.backbone.stages()[2](x), "b", 1)
    torch.testing.assert_close(made.view(made.cut({"row": row}), "b")["h"], x)


def test_on_maps_the_gate_is_that_of_each_cell() -> None:
    of_maps, of_rows = Experts("map", 4, 3, 2), Experts("vector", 4, 3, 2)
    torch.nn.init.normal_(of_maps.up.weight)
    flat = {key: value.flatten(1) if value.ndim > 1 else value for key, value in of_maps.state_dict().items()}
    of_rows.load_state_dict(flat)
    values, gate = torch.randn(2, 4, 5, 6), torch.rand(2, 3, 5, 6)
    expected = of_rows(values.movedim(1, -1), gate.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(of_maps(values, gate), expected)


def test_information_is_that_of_tasks_and_experts() -> None:
    apart = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    alike = torch.tensor([[[0.5, 0.5]], [[0.5, 0.5]]])
    assert mutual_information(apart).tolist() == pytest.approx([math.log(2)])
    assert mutual_information(alike).tolist() == pytest.approx([0.0])
    p = torch.tensor([[[0.8, 0.2]], [[0.5, 0.5]]])
    joint = p[:, 0] / 2
    expected = (joint * (joint / (joint.sum(0) * 0.5)).log()).sum()
    assert mutual_information(p).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_penalty_is_of_the_tasks_that_ran_and_of_real_cells() -> None:
    words = {"words": InputSpec("words", "tokens", 9)}
    made = TaskMoE(BiLSTM(words, embedding=4, hidden=2, dropout=0.0), ["a", "b"], experts=2, information=0.5)
    packed = {"words": torch.tensor([[3, 4, 0], [5, 0, 0]]), "words_mask": torch.tensor([[1, 1, 0], [1, 0, 0]]).bool()}
    cut = made.cut(packed)
    assert made.penalty() == 0, "no task ran"
    made.view(cut, "a")
    assert made.penalty().item() == pytest.approx(0, abs=1e-6), "of one task nothing is said"
    made.view(cut, "b")
    values, _ = made.backbone.stages()[1](cut[made.levels[0]], packed["words_mask"])
    real = [made.of_task.get_submodule(f"{n}.routers.0")(values).softmax(-1)[packed["words_mask"]] for n in "ab"]
    share_TSE = torch.stack([rows.mean(0) for rows in real])[:, None]
    torch.testing.assert_close(made.penalty(), -0.5 * mutual_information(share_TSE).sum())


def penalty_of(rank: int, sums: list[list[float]]) -> list[float]:
    value = torch.tensor(sums[rank], requires_grad=True)
    mean = mean_over_ranks(value, torch.tensor(3.0))
    (gradient,) = torch.autograd.grad(mean.square().sum(), value)
    if dist.is_initialized():
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()
    return [*mean.tolist(), *gradient.tolist()]


@pytest.mark.ddp
def test_a_mean_over_ranks_has_the_gradient_of_one_process(run_ranks: RunRanks) -> None:
    first, second = run_ranks(penalty_of, [[1.0, 2.0], [5.0, 4.0]])
    # with t added to every sum: d/dt ((1 + t + 5 + t) / 6)^2 = 2 * 2 / 6
    assert first == second == pytest.approx([1.0, 1.0, 2 / 3, 2 / 3])


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"TaskMoE: selected=4 must lie within 1..3"):
        make(selected=4)
