"""Norms against norms taken by hand."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from mtl.callbacks.tracking.gradient_norms import GradientNorms, gradient_norm


def test_norm_of_all_gradients_together() -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, 2)), nn.Parameter(torch.zeros(3))]
    parameters[0].grad, parameters[1].grad = torch.tensor([1.0, 2.0]), torch.tensor([[2.0, 4.0]])
    assert gradient_norm(parameters) == pytest.approx(5.0)


def test_without_a_gradient_there_is_no_norm() -> None:
    assert gradient_norm([nn.Parameter(torch.zeros(2))]) is None


class Watch(Callback):
    """Takes the norms by hand, in the same hook."""

    def __init__(self) -> None:
        self.by_hand: list[float] = []
        self.logged: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        squares = [float((p.grad**2).sum()) for p in pl_module.model.trunk.parameters() if p.grad is not None]
        self.by_hand.append(sum(squares) ** 0.5)

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        self.logged.append(float(trainer.callback_metrics.get("grad_norm/trunk", torch.nan)))


def test_the_logged_norm_is_the_one_before_clipping(tiny: Any) -> None:
    watch = Watch()
    tiny.trainer([GradientNorms(), watch], max_steps=3, gradient_clip_val=1e-3).fit(tiny.module(), tiny.data())
    assert watch.logged == pytest.approx(watch.by_hand, rel=1e-4)


def test_other_steps_are_not_measured(tiny: Any) -> None:
    watch = Watch()
    tiny.trainer([GradientNorms(every_n_logs=2), watch], max_steps=4, log_every_n_steps=2).fit(
        tiny.module(), tiny.data()
    )
    measured = [index for index, value in enumerate(watch.logged) if value == pytest.approx(watch.by_hand[index])]
    assert measured == [3]


def test_rejects_every_zero_logs() -> None:
    with pytest.raises(ValueError, match="every_n_logs=0 must be at least 1"):
        GradientNorms(every_n_logs=0)
