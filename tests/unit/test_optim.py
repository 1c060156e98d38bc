"""Parameter groups, learning rates per part, and the schedule against values worked out by hand."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from mtl.backbones.table.mlp import TableMLP
from mtl.optim import Optim
from mtl.task import InputSpec


def model() -> nn.Module:
    heads = nn.ModuleDict({"boxes": nn.Linear(2, 2), "scene": nn.Linear(2, 2)})
    return nn.ModuleDict({"backbone": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), "heads": heads})


def groups(optim: Optim, net: nn.Module) -> dict[str, dict[str, object]]:
    return {group["name"]: group for group in optim.build(net, 100)[0].param_groups}


def test_default_is_adamw() -> None:
    (optimizer, _) = Optim().build(model(), 10)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.defaults["lr"] == 1e-3


@pytest.mark.parametrize("with_frozen", [True, False])
def test_every_parameter_is_in_one_group_also_what_may_learn_later(with_frozen: bool) -> None:
    net = model()
    net["backbone"].requires_grad_(False)  # type: ignore[index]
    optimizer, _ = Optim(lr_factors={"heads.boxes": 2}).build(net, 10, with_frozen=with_frozen)
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(p) for p in net.parameters() if p.requires_grad or with_frozen)


def test_a_factor_on_a_frozen_part_is_told_and_kept_until_it_learns(caplog: pytest.LogCaptureFixture) -> None:
    net = model()
    net["backbone"].requires_grad_(False)  # type: ignore[index]
    rates = {n: group["lr"] for n, group in groups(Optim(None, {"backbone": 0.1}, warmup_steps=0), net).items()}
    assert rates["backbone"] == pytest.approx(0.1 * rates["model"])  # type: ignore[operator]
    assert "'backbone', which is frozen" in caplog.text


def test_a_group_that_joins_later_follows_the_schedule_from_its_rate() -> None:
    net = model()
    net["backbone"].requires_grad_(False)  # type: ignore[index]
    optim = Optim(partial(torch.optim.SGD, lr=1.0), warmup_steps=0)
    optimizer, schedule = optim.build(net, 10, with_frozen=False)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    optimizer.add_param_group({"params": list(net["backbone"].parameters()), "lr": 0.3})  # type: ignore[index]
    rates = []
    for _ in range(6):
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[-1]["lr"])
    assert rates == pytest.approx([0.3 * optim.factor(step, 10) / optim.factor(4, 10) for step in range(5, 11)])
    again = optim.build(net, 10, with_frozen=True)[1]
    again.load_state_dict(schedule.state_dict())
    assert again.base_lrs == schedule.base_lrs


def test_biases_and_norms_are_not_decayed() -> None:
    optim = Optim(partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.3))
    found = groups(optim, model())
    assert {name: group["weight_decay"] for name, group in found.items()} == {"model": 0.3, "model/no_decay": 0.0}
    assert len(found["model"]["params"]) == 3  # type: ignore[arg-type]  # the filter and two matrices
    assert len(found["model/no_decay"]["params"]) == 5  # type: ignore[arg-type]  # three biases, and the norm


def test_everything_is_decayed_on_request() -> None:
    optim = Optim(partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.3), decay_matrices_only=False)
    assert [group["weight_decay"] for group in groups(optim, model()).values()] == [0.3]


def test_the_longest_matching_part_sets_the_learning_rate() -> None:
    optim = Optim(
        partial(torch.optim.SGD, lr=1.0),
        {"backbone": 0.1, "heads": 2, "heads.boxes": 5},
        warmup_steps=0,
        schedule="constant",
    )
    rates = {name: group["lr"] for name, group in groups(optim, model()).items()}
    assert rates == pytest.approx(
        {
            **{"backbone": 0.1, "backbone/no_decay": 0.1},
            **{"heads": 2, "heads/no_decay": 2},
            **{"heads.boxes": 5, "heads.boxes/no_decay": 5},
        }
    )


def test_a_part_is_a_whole_word_of_the_name() -> None:
    with pytest.raises(ValueError, match="'heads.box', which holds no trainable parameter.*Did you mean 'heads.boxes'"):
        Optim(lr_factors={"heads.box": 2}).build(model(), 10)


def test_warm_up_is_linear_and_counts_steps() -> None:
    optim = Optim(warmup_steps=4, schedule="constant")
    assert [optim.factor(step, 100) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_warm_up_below_one_is_a_share_of_the_run() -> None:
    share, steps = Optim(warmup_steps=0.1), Optim(warmup_steps=20)
    assert [share.factor(step, 200) for step in range(200)] == [steps.factor(step, 200) for step in range(200)]


def test_cosine_falls_from_one_through_the_middle_to_the_end() -> None:
    optim = Optim(warmup_steps=10, final_lr=0.2)
    assert optim.factor(10, 110) == pytest.approx(1)
    assert optim.factor(35, 110) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)
    assert optim.factor(60, 110) == pytest.approx(0.6)
    assert optim.factor(110, 110) == pytest.approx(0.2)
    assert optim.factor(500, 110) == pytest.approx(0.2)  # a run that goes on stays there


def test_a_run_of_one_step_has_a_learning_rate() -> None:
    assert 0 < Optim().factor(0, 1) <= 1


def test_the_scheduler_steps_every_group_by_its_own_factor() -> None:
    optim = Optim(partial(torch.optim.SGD, lr=1.0), {"backbone": 0.1}, warmup_steps=1, schedule="constant")
    optimizer, schedule = optim.build(model(), 10)
    assert {group["lr"] for group in optimizer.param_groups} == {0.05, 0.5}
    optimizer.step()
    schedule.step()
    assert {group["lr"] for group in optimizer.param_groups} == {0.1, 1.0}


@pytest.mark.parametrize("settings", [{"warmup_steps": -1}, {"final_lr": 1.5}, {"final_lr": -0.1}])
def test_rejects_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="warmup_steps=.*final_lr="):
        Optim(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [torch.optim.AdamW, torch.optim.SGD])
def test_the_fused_kernel_takes_the_same_steps(cls: type[torch.optim.Optimizer]) -> None:
    nets = []
    for fused in (True, False):
        torch.manual_seed(0)
        net = nn.Linear(5, 3)
        optimizer, _ = Optim(partial(cls, lr=0.1, weight_decay=0.1), fused=fused).build(net, 10)  # type: ignore[call-arg]
        assert {bool(group["fused"]) for group in optimizer.param_groups} == {fused}
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(2, 5)).square().sum().backward()
            optimizer.step()
        nets.append(net.weight.detach())
    torch.testing.assert_close(*nets, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("given", [{"fused": False}, {"foreach": True}])
def test_what_the_optimiser_was_given_stays(given: dict[str, bool]) -> None:
    optimizer, _ = Optim(partial(torch.optim.AdamW, lr=0.1, **given)).build(model(), 10)
    assert not any(group["fused"] for group in optimizer.param_groups)


def test_an_optimiser_without_a_fused_kernel_is_left_alone() -> None:
    optimizer, _ = Optim(partial(torch.optim.RMSprop, lr=0.1)).build(model(), 10)
    assert "fused" not in optimizer.param_groups[0]


def test_a_fused_optimiser_leaves_unscaling_to_the_scaler() -> None:
    # Lightning refuses to clip gradients otherwise
    optimizer, _ = Optim().build(model(), 10)
    assert optimizer.param_groups[0]["fused"]
    assert not getattr(optimizer, "_step_supports_amp_scaling", False)


@pytest.mark.parametrize("num_steps", [-1, math.inf])
def test_an_unknown_number_of_steps_is_refused_where_the_learning_rate_needs_it(num_steps: float) -> None:
    with pytest.raises(ValueError, match=r"nobody knows.*schedule: cosine and warmup_steps: 0.1.*trainer.max_steps"):
        Optim().build(model(), num_steps)
    with pytest.raises(ValueError, match=r"\(warmup_steps: 0.5, a share of all steps\)"):
        Optim(schedule="constant", warmup_steps=0.5).build(model(), num_steps)
    optimizer, schedule = Optim(schedule="constant", warmup_steps=2).build(model(), num_steps)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3])


def test_factors_hold_for_a_learning_rate_that_is_a_tensor() -> None:
    rate = torch.tensor(1e-2)
    optim = Optim(
        partial(torch.optim.AdamW, lr=rate), {"backbone": 0.1, "heads.boxes": 0.5}, warmup_steps=0, fused=False
    )
    net = model()
    extra = {"params": [nn.Parameter(torch.zeros(2))], "weight_decay": 0.0, "name": "balancing"}
    optimizer, schedule = optim.build(net, 10, [extra])
    rates = {str(group["name"]).split("/")[0]: float(group["lr"]) for group in optimizer.param_groups}
    assert rates == pytest.approx({"backbone": 1e-3, "heads.boxes": 5e-3, "model": 1e-2, "balancing": 1e-2})
    optimizer.step()
    schedule.step()
    factor = optim.factor(1, 10)
    after = {str(group["name"]).split("/")[0]: float(group["lr"]) for group in optimizer.param_groups}
    assert after == pytest.approx({name: factor * value for name, value in rates.items()})
    assert float(rate) == pytest.approx(1e-2)


def test_an_optimiser_without_groups_is_refused_by_what_to_do() -> None:
    with pytest.raises(
        ValueError, match=r"one group, and there are 2: model, model/no_decay. Set optim.decay_matrices"
    ):
        Optim(partial(torch.optim.LBFGS, lr=0.1)).build(model(), 10)
    optimizer, _ = Optim(partial(torch.optim.LBFGS, lr=0.1), decay_matrices_only=False, fused=False).build(model(), 10)
    assert isinstance(optimizer, torch.optim.LBFGS)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dampening", [0.0, 0.5])
def test_a_parameter_may_make_its_first_step_later_than_others(momentum: float, dampening: float) -> None:
    def trained(fused: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        net = model()
        sgd = partial(torch.optim.SGD, lr=0.1, momentum=momentum, dampening=dampening if momentum else 0.0)
        optimizer, _ = Optim(sgd, fused=fused).build(net, 10)
        for step in range(3):

            def closure(step: int = step) -> float:
                for name, parameter in net.named_parameters():
                    parameter.grad = None if step == 0 and name.startswith("backbone") else torch.ones_like(parameter)
                return 0.0

            optimizer.step(closure)
        return list(net.parameters())

    for found, expected in zip(trained(True), trained(False), strict=True):
        torch.testing.assert_close(found, expected)


def test_polynomial_falls_with_power_nine_tenths_to_the_last_rate() -> None:
    optim = Optim(schedule="polynomial", warmup_steps=0)
    assert [optim.factor(step, 4) for step in range(5)] == pytest.approx([1, 0.75**0.9, 0.5**0.9, 0.25**0.9, 0])
    half = Optim(schedule="polynomial", final_lr=0.5, warmup_steps=2).factor(4, 6)
    assert half == pytest.approx(0.5 + 0.5 * 0.5**0.9)


def test_step_falls_at_once_in_the_middle() -> None:
    optim = Optim(schedule="step", final_lr=0.5, warmup_steps=2)
    assert [optim.factor(step, 10) for step in range(10)] == [1 / 3, 2 / 3, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert Optim(schedule="step", final_lr=0.5, warmup_steps=0).factor(0, 10) == 1
    with pytest.raises(ValueError, match=r"schedule: step"):
        optim.build(model(), -1)


class Rows(nn.Module):
    """A table through two stages, with a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = TableMLP({"row": InputSpec("row", "table", 3)}, (4, 5))
        self.head = nn.Linear(5, 2)


def test_a_stage_further_from_the_heads_learns_slower_by_a_factor() -> None:
    net = Rows()
    optim = Optim(partial(torch.optim.SGD, lr=1.0), {"backbone": 0.5}, warmup_steps=0, layer_decay=0.1)
    rates = {id(p): group["lr"] for group in optim.build(net, 10)[0].param_groups for p in group["params"]}
    _, first, last = net.backbone.layers
    expected = {last: 0.5 * 0.1, first: 0.5 * 0.01, net.head: 1.0}
    for part, rate in expected.items():
        assert [rates[id(p)] for p in part.parameters()] == pytest.approx([rate] * 2)
    assert len(rates) == 6


def test_layer_decay_needs_a_backbone_in_stages_and_a_share() -> None:
    with pytest.raises(ValueError, match="one piece. Set optim.lr_factors"):
        Optim(layer_decay=0.5).build(model(), 10)
    with pytest.raises(ValueError, match="layer_decay=1.5 must be above 0 and at most 1"):
        Optim(layer_decay=1.5)


def test_a_scheduler_of_torch_takes_the_place_of_the_schedule() -> None:
    make = partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.1)
    optimizer, schedule = Optim(partial(torch.optim.SGD, lr=1.0), {"heads": 3}, scheduler=make).build(model(), -1)
    rates = []
    for _ in range(5):
        rates.append([group["lr"] for group in optimizer.param_groups][-1])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([3, 3, 0.3, 0.3, 0.03])


def test_a_scheduler_that_cannot_work_here_is_refused() -> None:
    with pytest.raises(ValueError, match="final_lr=0.1 have no effect"):
        Optim(scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=2), final_lr=0.1)
    with pytest.raises(ValueError, match="wants a metric"):
        Optim(scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau).build(model(), 10)
    with pytest.raises(ValueError, match="refuses its settings"):
        Optim(scheduler=torch.optim.lr_scheduler.OneCycleLR).build(model(), 10)  # type: ignore[arg-type]
    one_cycle = Optim(scheduler=partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1.0, total_steps=9))
    one_cycle.build(model(), 9)
    with pytest.raises(ValueError, match="ends after 9 steps, and this run makes 10. Set its total_steps to 10"):
        one_cycle.build(model(), 10)


def test_a_scheduler_with_rates_of_its_own_does_not_drop_the_factors() -> None:
    one_cycle = partial(torch.optim.lr_scheduler.OneCycleLR, total_steps=10)
    sgd = partial(torch.optim.SGD, lr=1.0, momentum=0.9)
    for make in (
        partial(one_cycle, max_lr=1.0),
        partial(torch.optim.lr_scheduler.CyclicLR, base_lr=0.1, max_lr=1.0),
    ):
        with pytest.raises(ValueError, match=r"lr_factors.* no effect.*each of model, .*heads"):
            Optim(sgd, {"heads": 3}, scheduler=make).build(model(), 10)
        Optim(sgd, scheduler=make).build(model(), 10)
    groups = Optim(sgd, {"heads": 3}).build(model(), 10)[0].param_groups
    peaks = [3.0 if "heads" in group["name"] else 1.0 for group in groups]
    for make in (
        partial(one_cycle, max_lr=peaks),
        partial(torch.optim.lr_scheduler.CyclicLR, base_lr=0.1, max_lr=peaks, step_size_up=1),
    ):
        optimizer, schedule = Optim(sgd, {"heads": 3}, scheduler=make).build(model(), 10)
        seen = []
        for _ in range(6):
            seen.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            schedule.step()
        assert np.max(seen, 0).tolist() == pytest.approx(peaks, rel=0.1)


@pytest.mark.parametrize(
    ("lr", "warmup", "said"),
    [(0.0, 0, "learning rate is 0"), (0.1, 100, "at most 0.099"), (0.1, 5, ""), (0.1, 0.5, "")],
)
def test_a_run_that_hardly_learns_is_said(
    lr: float, warmup: float, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    optim = Optim(partial(torch.optim.SGD, lr=lr), warmup_steps=warmup)
    optim.build(torch.nn.Linear(2, 2), 10)
    assert said in caplog.text if said else not caplog.records
