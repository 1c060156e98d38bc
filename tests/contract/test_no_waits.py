"""A training step asks a GPU for nothing, so that the host runs ahead of it; here on a stand-in without numbers.

Solvers of balancing methods are the exception (`mtl.functional.on_host`): they take the Gramian to the host once.
`tests/gpu` has the same on a real GPU.
"""

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.balancing.method import Method
from mtl.balancing.protocols import LossWeighting
from mtl.batch import Batch, collate
from mtl.callbacks.balancing.finite_losses import FiniteLosses
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.task_scheduling import TaskScheduling
from mtl.callbacks.balancing.telemetry import BalancingTelemetry
from mtl.callbacks.checkpoints.ema import EMA
from mtl.callbacks.tracking.gradient_norms import GradientNorms
from mtl.callbacks.tracking.learning_rates import LearningRates
from mtl.callbacks.tracking.throughput import Throughput
from mtl.heads.head import Head
from mtl.scheduling.loss_progress import LossProgress
from tests.contract.kit import batches
from tests.contract.kit.methods import example
from tests.contract.kit.runs import Scenes, at_all_places, in_turns, module, one_of_each_kind
from tests.contract.stand_in_gpu import DEVICE, Waits, as_a_gpu, asks_nothing, counters_are_read


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    data = Scenes(kept={"count": set(range(8))})  # nobody counted the digits of the third batch
    data.setup("fit")
    return data


def test_questions_and_copies_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    values, cpu = torch.ones(3, device=DEVICE), torch.ones(3)
    questions = (
        lambda: bool(values.any()),
        lambda: values[values > 0],
        lambda: values.nonzero(),
        lambda: values.cpu(),
        lambda: cpu.to(DEVICE),
        lambda: values.copy_(cpu),
        lambda: values + cpu,
        lambda: torch.tensor([1.0], device=DEVICE),
    )
    for question in questions:
        with pytest.raises((Waits, RuntimeError)), asks_nothing(monkeypatch):
            question()
    with asks_nothing(monkeypatch):
        assert (cpu.to(DEVICE, non_blocking=True) + values).is_meta


@batches.every_head
def test_no_head_waits_in_forward_loss_and_backward(
    cls: type[Head], kind: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not getattr(cls, "loss_compiles", True):
        pytest.skip("works on the host on purpose")
    as_a_gpu(monkeypatch)
    head = batches.build(cls, kind, place).to(DEVICE)
    features = {name: level.to(DEVICE) for name, level in batches.random_features(place).items()}
    for level in batches.floats(features).values():
        level.requires_grad_()
    batch = {name: value.to(DEVICE) for name, value in batches.random_batch(kind, place).items()}
    with asks_nothing(monkeypatch):
        head.loss(head(features), batch).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_no_plain_step_waits(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps([], scenes, monkeypatch) == 3


def test_no_scheduled_step_waits(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = TaskScheduling(LossProgress(tasks_per_step=2, window=1000))
    assert steps([schedule], scenes, monkeypatch) == 3


@pytest.mark.parametrize(("cls", "at"), one_of_each_kind())
def test_no_balanced_step_waits(cls: type[Method], at: str, scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert balanced_steps(cls, at, scenes, monkeypatch) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "at"), in_turns(at_all_places(), 0, 2))
def test_no_step_of_any_method_waits(
    cls: type[Method], at: str, scenes: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert balanced_steps(cls, at, scenes, monkeypatch) == 3


def balanced_steps(cls: type[Method], at: str, scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> int:
    method = example(cls)
    if method.adapter:
        pytest.skip("another library's code")
    callbacks: list[Any] = [LossBalancing(method, at=at)]  # type: ignore[arg-type]
    if not isinstance(method, LossWeighting):
        callbacks.append(BalancingTelemetry())
    return steps(callbacks, scenes, monkeypatch)


def steps(callbacks: list[Any], scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> int:
    """Training steps between two logging steps as Lightning makes them, a task missing in the last; how many."""
    as_a_gpu(monkeypatch)
    loop = module().to(DEVICE)
    monkeypatch.setattr(loop, "log", _log)
    monkeypatch.setattr(loop, "log_dict", lambda values: [_log(name, value) for name, value in values.items()])
    callbacks = [*callbacks, FiniteLosses(), GradientNorms(), LearningRates(), Throughput(), EMA(0.9)]
    trainer: Any = SimpleNamespace(
        accumulate_grad_batches=1, log_every_n_steps=1000, global_step=1, world_size=1, checkpoint_callbacks=[],
        precision_plugin=SimpleNamespace(scaler=None, train_step_context=contextlib.nullcontext), loggers=[],
        strategy=SimpleNamespace(root_device=DEVICE, model=loop), callbacks=callbacks, datamodule=scenes,
        state=SimpleNamespace(fn="fit"), optimizers=[],
    )  # fmt: skip
    for hook in ("setup", "on_fit_start", "on_train_start"):
        for callback in callbacks:
            getattr(callback, hook)(trainer, loop, *(["fit"] if hook == "setup" else []))
    optimizer = torch.optim.SGD([{"params": list(loop.model.parameters())}, *loop.more_parameter_groups], lr=0.1)
    samples = [scenes.train_set[index] for index in range(12)]
    made = 0
    for number in range(3):
        start = 4 * number
        watched = asks_nothing if number else counters_are_read
        scenes.on_before_batch_transfer(batch := collate(samples[start : start + 4], scenes.tasks), 0)
        batch = {name: value.to(DEVICE) if isinstance(value, Tensor) else value for name, value in batch.items()}
        with watched(monkeypatch):
            _step(loop, trainer, optimizer, scenes.on_after_batch_transfer(batch, 0), number)
        made += 1
    for callback in callbacks:
        callback.teardown(trainer, loop, "fit")
    return made


def _step(loop: Any, trainer: Any, optimizer: torch.optim.Optimizer, batch: Batch, number: int) -> None:
    for callback in trainer.callbacks:
        callback.on_train_batch_start(trainer, loop, batch, number)
    loop.training_step(batch, number).backward()
    for callback in trainer.callbacks:
        callback.on_after_backward(trainer, loop)
    for callback in trainer.callbacks:
        callback.on_before_optimizer_step(trainer, loop, optimizer)
    torch.nn.utils.clip_grad_norm_(loop.parameters(), 5.0)
    optimizer.step()
    optimizer.zero_grad()
    trainer.global_step += 1
    for callback in trainer.callbacks:
        callback.on_train_batch_end(trainer, loop, None, batch, number)


def _log(name: str, value: Any, **_: Any) -> None:
    """As Lightning does it between two logging steps, which copies a plain number to the device and waits."""
    if not isinstance(value, Tensor):
        raise Waits(f"{name} is logged as a plain number: {value}")
