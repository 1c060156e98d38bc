"""Every task schedule found, in the real trainer: what is skipped stays as it is, a resume is exact, ranks agree."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from mtl.balancing.graddrop import GradDrop
from mtl.balancing.method import Method
from mtl.balancing.protocols import LossWeighting
from mtl.batch import LABELLED
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.task_scheduling import TaskScheduling
from mtl.module import MultiTaskLightningModule
from mtl.scheduling.round_robin import RoundRobin
from mtl.scheduling.schedule import TaskSchedule
from tests.conftest import RunRanks
from tests.contract.kit.found import found
from tests.contract.kit.methods import example
from tests.contract.kit.ranks import Team, without_batch_norm
from tests.contract.kit.runs import HEADS, Norms, Save, Scenes, module, one_of_each_kind, trainer

SCHEDULES = found(TaskSchedule)  # type: ignore[type-abstract]
every_schedule = pytest.mark.parametrize("cls", SCHEDULES, ids=lambda cls: cls.__name__)


def quick(cls: type[TaskSchedule]) -> TaskSchedule:
    """An example whose windows are short enough for a test."""
    schedule = cls.example()
    for name, value in {"window": 2, "every": 3, "probes": 1}.items():
        if getattr(schedule, name, 0):
            setattr(schedule, name, value)
    return schedule


class Turns(Callback):
    """Which tasks were active at every optimiser step, and how often each head ran in training."""

    def __init__(self, scheduling: TaskScheduling) -> None:
        self.scheduling = scheduling
        self.turns: list[list[bool]] = []
        self.calls = dict.fromkeys(HEADS, 0)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        for name, head in pl_module.model.heads.items():
            head.register_forward_hook(lambda *_, name=name: self.count(name))

    def count(self, name: str) -> None:
        self.calls[name] += 1

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.turns.append(list(self.scheduling.active))


def start() -> MultiTaskLightningModule:
    torch.manual_seed(0)
    loop = module(Norms())
    without_batch_norm(loop)
    return loop


def fit(
    schedule: TaskSchedule, others: Any = (), ckpt_path: Path | None = None, num_train: int = 24, **settings: Any
) -> tuple[MultiTaskLightningModule, Turns]:
    loop, scheduling = start(), TaskScheduling(schedule)
    turns = Turns(scheduling)
    run = trainer([scheduling, turns, *others], **{"max_epochs": 1, **settings})
    run.fit(loop, Scenes(num_train=num_train), ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return loop, turns


@every_schedule
def test_some_task_is_active_and_asking_changes_nothing(cls: type[TaskSchedule]) -> None:
    schedule = cls.example()
    schedule.build(5)
    for step in range(30):
        chosen = schedule.active(step)
        assert len(chosen) == 5
        assert any(chosen)
        assert schedule.active(step) == chosen
    assert cls.paper


@every_schedule
def test_every_task_gets_its_turn_whatever_is_observed(cls: type[TaskSchedule]) -> None:
    schedule = cls.example()
    schedule.build(3)
    seen = torch.zeros(3)
    for step in range(600):
        if step % 50 == 0:
            schedule.observe_losses(torch.tensor([1.0, math.nan, 1.0 / (1 + step)]))
            schedule.observe_cosines(torch.tensor([[1.0, -0.5, math.nan], [-0.5, 1.0, -0.9], [math.nan, -0.9, 1.0]]))
        seen += torch.tensor(schedule.active(step), dtype=torch.float)
    assert (seen >= 10).all()


@every_schedule
def test_one_task_is_nothing_to_choose_from(cls: type[TaskSchedule]) -> None:
    with pytest.raises(ValueError, match="chooses among tasks.*Remove TaskScheduling"):
        cls.example().build(1)


@every_schedule
def test_only_active_heads_run_and_the_others_stay_as_they_are(cls: type[TaskSchedule]) -> None:
    loop, turns = fit(quick(cls), accumulate_grad_batches=2, gradient_clip_val=1.0)
    assert len(turns.turns) == 3
    for task, name in enumerate(HEADS):
        assert turns.calls[name] == 2 * sum(turn[task] for turn in turns.turns)
    before = start().model.state_dict()
    after = loop.model.state_dict()
    for task, name in enumerate(HEADS):
        moved = any(not torch.equal(before[key], after[key]) for key in before if key.startswith(f"heads.{name}."))
        # nobody counted the digits in some batches, so an active task may stay
        assert moved <= any(turn[task] for turn in turns.turns)
    assert any(not torch.equal(before[key], after[key]) for key in before if key.startswith("trunk."))


@every_schedule
def test_a_resumed_run_is_the_unbroken_one(cls: type[TaskSchedule], tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_epochs": 2, "accumulate_grad_batches": 2}
    unbroken, turns = fit(quick(cls), [Save(tmp_path / "half.ckpt")], **settings)
    resumed, rest = fit(quick(cls), ckpt_path=tmp_path / "half.ckpt", **settings)
    assert rest.turns == turns.turns[-len(rest.turns) :]
    assert 0 < len(rest.turns) < len(turns.turns)
    for name, value in unbroken.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(("cls", "at"), one_of_each_kind())
def test_a_balancing_method_sees_a_skipped_task_as_one_without_labels(cls: type[Method], at: str) -> None:
    if cls is GradDrop:
        pytest.skip("it draws a number for every value that a head touches, and here there are fewer")
    settings: dict[str, Any] = {} if issubclass(cls, LossWeighting) else {"at": at}
    scheduled, turns = fit(RoundRobin(2), [LossBalancing(example(cls), **settings)], num_train=8)

    class Unlabelled(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            for name, active in zip(HEADS, turns.turns[batch_idx], strict=True):
                if not active:
                    batch[f"labelled/{name}"] = torch.zeros_like(batch[f"labelled/{name}"])
                    batch[LABELLED] = tuple(known for known in batch[LABELLED] if known != name)
                    if name == "boxes":
                        batch["box_labels"] = torch.full_like(batch["box_labels"], -1)
                    else:
                        batch[name] = torch.full_like(batch[name], math.nan if name == "count" else -100)

    other = start()
    run = trainer([Unlabelled(), LossBalancing(example(cls), **settings)], max_epochs=1)
    run.fit(other, Scenes(num_train=8))
    assert turns.turns == [[True, True, False, False], [False, False, True, True]]
    for name, value in other.state_dict().items():
        torch.testing.assert_close(
            scheduled.state_dict()[name], value, rtol=1e-6, atol=1e-7, msg=lambda text, name=name: f"{name}: {text}"
        )


def train(rank: int, ranks: int, cls: type[TaskSchedule]) -> dict[str, Tensor]:
    loop = start()
    strategy: Any = "auto"
    if ranks > 1:
        strategy = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo")
    scheduling = TaskScheduling(quick(cls))
    # the last window is not complete: what a checkpoint would hold is the same on every rank
    settings: dict[str, Any] = {"limit_train_batches": 5, "strategy": strategy, "devices": 1, "num_nodes": ranks}
    run = trainer([scheduling], max_epochs=1, **settings)
    run.fit(loop, Scenes(4 // ranks, num_train=24))
    own = {f"schedule.{name}": value for name, value in scheduling.schedule.named_buffers()}
    if (losses := scheduling.state_dict()["losses"]) is not None:
        own["losses"] = losses
    return {**loop.state_dict(), **own}


@pytest.mark.ddp
@every_schedule
def test_two_ranks_make_the_steps_of_one_with_both_batches(cls: type[TaskSchedule], run_ranks: RunRanks) -> None:
    whole = train(0, 1, cls)
    first, second = run_ranks(train, 2, cls)
    for name, value in whole.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, equal_nan=True, msg=name)
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-5, equal_nan=True, msg=name)
