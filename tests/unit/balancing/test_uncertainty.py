"""Uncertainty weighting."""

import math

import pytest
import torch

from mtl.balancing.uncertainty import Uncertainty


def test_objective_is_that_of_the_paper() -> None:
    method = Uncertainty(log_variance=-0.5)
    expected = 0.5 * math.exp(0.5) * (2 + 3) - 0.5
    assert method(torch.tensor([2.0, 3.0])).item() == pytest.approx(expected)


def test_learned_variance_converges_to_the_loss() -> None:
    # at the optimum of s for fixed losses: exp(s) = L, so the weight is 1 / (2 L)
    method, losses = Uncertainty(weight_lr=0.2), torch.tensor([0.5, 4.0])
    method.build(2)
    optimizer = torch.optim.SGD(method.parameter_groups(), lr=0.0)
    for _ in range(300):
        optimizer.zero_grad()
        method(losses).backward()
        optimizer.step()
    torch.testing.assert_close(method.log_variances.detach().exp(), losses, rtol=1e-3, atol=0)
    torch.testing.assert_close(method.weights(losses), 1 / (2 * losses), rtol=1e-3, atol=0)


def test_its_parameters_come_in_a_group_of_their_own_without_decay() -> None:
    method = Uncertainty(weight_lr=0.025)
    method.build(3)
    (group,) = method.parameter_groups()
    assert (group["lr"], group["weight_decay"], group["name"]) == (0.025, 0.0, "balancing/Uncertainty")
    assert group["params"][0] is method.log_variances
    without = Uncertainty()
    without.build(3)
    assert "lr" not in without.parameter_groups()[0]


def test_a_missing_task_does_not_move_its_variance() -> None:
    method = Uncertainty()
    method(torch.tensor([2.0, 0.0]), present=[True, False]).backward()
    torch.testing.assert_close(method.log_variances.grad, torch.tensor([(1 - 2) / 2, 0.0]))
