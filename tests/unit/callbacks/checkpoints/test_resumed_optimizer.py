"""A resumed run has the optimiser of its checkpoint, or says that it would not."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from mtl.callbacks.checkpoints.resumed_optimizer import ResumedOptimizer
from mtl.optim import Optim

MODEL = nn.ModuleDict({"backbone": nn.Linear(2, 2)})


def built(make: Any) -> Optimizer:
    return Optim(make, schedule="cosine", warmup_steps=2).build(MODEL, 10)[0]


def resume(before: Any, now: Any) -> Optimizer:
    saved, optimizer = built(before).state_dict(), built(now)
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


def test_switches_of_the_machine_may_differ() -> None:
    resumed = resume(lambda groups: adamw(groups, foreach=True), lambda groups: adamw(groups, foreach=False))
    assert isinstance(resumed, AdamW)
    resumed = resume(*2 * [lambda groups: Adam(groups, lr=1e-3, amsgrad=True)])
    assert all(group["amsgrad"] for group in resumed.param_groups)
