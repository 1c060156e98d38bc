"""A resumed run has the optimiser of its checkpoint, or says that it would not."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from mtl.callbacks.checkpoints.resumed_optimizer import ResumedOptimizer
from mtl.optim import Optim

MODEL = nn.ModuleDict({"backbone": nn.Linear(2, 2)})


def built(make: Any) -> Optimizer:
    return Optim(make, schedule="cosine", warmup_steps=2).build(MODEL, 10)[0]


def resume(before: Any, now: Any) -> Optimizer:
    return resume_built(built(before), built(now))


def resume_built(before: Optimizer, optimizer: Optimizer) -> Optimizer:
    saved = before.state_dict()
    trainer: Any = SimpleNamespace(optimizers=[optimizer])
    callback = ResumedOptimizer()
    callback.on_fit_start(trainer, None)  # type: ignore[arg-type]
    optimizer.load_state_dict(saved)
    callback.on_train_start(trainer, None)  # type: ignore[arg-type]
    return optimizer


def adamw(groups: Any, **options: Any) -> Optimizer:
    return AdamW(groups, **{"lr": 1e-3, **options})


@pytest.mark.parametrize("make", [adamw, lambda groups: SGD(groups, lr=torch.tensor(0.1), momentum=0.9)])
def test_the_same_optimiser_goes_on(make: Any) -> None:
    optimizer = resume(make, make)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [
        group["initial_lr"] for group in built(make).param_groups
    ]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (lambda groups: SGD(groups, lr=1e-3), "dampening, momentum of SGD"),
        (lambda groups: adamw(groups, lr=0.5), "lr=0.5, and the checkpoint has lr=0.001"),
        (lambda groups: adamw(groups, weight_decay=0.3), "weight_decay=0.3, and the checkpoint has"),
        (lambda groups: adamw(groups, betas=(0.8, 0.999)), r"betas=\(0.8, 0.999\)"),
    ],
)
def test_another_one_is_refused_with_the_way_out(now: Any, why: str) -> None:
    with pytest.raises(ValueError, match=rf"{why}.*--model\.init_from"):
        resume(adamw, now)


@pytest.mark.parametrize("make", [adamw, lambda groups: SGD(groups, lr=1e-3, momentum=0.9)])
@pytest.mark.parametrize("schedule", [partial(OneCycleLR, total_steps=10), partial(CyclicLR, base_lr=1e-4)])
def test_a_schedule_that_moves_the_momentum_goes_on(make: Any, schedule: Any) -> None:
    def begun(peak: float, steps: int = 0) -> tuple[Optimizer, Any]:
        optimizer, moved = Optim(make, scheduler=lambda of: schedule(of, max_lr=peak)).build(MODEL, 10)
        for _ in range(steps):
            optimizer.step()
            moved.step()
        return optimizer, moved

    stopped = begun(1e-2, steps=4)[0]
    assert stopped.state_dict()["param_groups"] != begun(1e-2)[0].state_dict()["param_groups"]
    resume_built(stopped, begun(1e-2)[0])


def test_another_scheduler_is_refused() -> None:
    def settings(name: str | None, **arguments: Any) -> dict[str, Any]:
        scheduler = name and {"class_path": f"torch.optim.lr_scheduler.{name}", "init_args": arguments}
        return {"optim": {"class_path": "mtl.optim.Optim", "init_args": {"scheduler": scheduler}}}

    def load(before: Any, now: Any, fn: str = "fit") -> None:
        trainer: Any = SimpleNamespace(state=SimpleNamespace(fn=fn))
        module: Any = SimpleNamespace(hparams=now)
        ResumedOptimizer().on_load_checkpoint(trainer, module, {"hyper_parameters": before})

    step = settings("StepLR", step_size=2, gamma=0.1)
    load(step, step)
    load(step, settings("StepLR", step_size=2, new_argument=None))
    load(step, settings(None), fn="test")
    load({}, step)  # a checkpoint that does not say how its model is built
    for now, told in (
        (
            settings("StepLR", step_size=2, gamma=0.5),
            r"StepLR\(gamma=0.5\), and .* the state of StepLR\(gamma=0.1\)",
        ),
        (settings("ExponentialLR", gamma=0.1), "ExponentialLR, and the checkpoint has the state of StepLR"),
        (settings(None), "optim.scheduler is schedule, and the checkpoint"),
    ):
        with pytest.raises(ValueError, match=rf"{told}.*--model\.init_from"):
            load(step, now)


def test_switches_of_the_machine_may_differ() -> None:
    resumed = resume(lambda groups: adamw(groups, foreach=True), lambda groups: adamw(groups, foreach=False))
    assert isinstance(resumed, AdamW)
    resumed = resume(*2 * [lambda groups: Adam(groups, lr=1e-3, amsgrad=True)])
    assert all(group["amsgrad"] for group in resumed.param_groups)
