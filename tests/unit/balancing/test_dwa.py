"""Dynamic weight average."""

import math

import pytest
import torch

from mtl.balancing.dwa import DWA


def test_slower_task_weighs_more() -> None:
    method, losses = DWA(), torch.ones(2)
    torch.testing.assert_close(method.weights(losses), torch.ones(2))
    method.observe_epoch(torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(method.weights(losses), torch.ones(2))
    method.observe_epoch(torch.tensor([1.0, 0.5]))
    # ratios 1 and 1/2, T = 2
    first, second = math.exp(0.5), math.exp(0.25)
    expected = torch.tensor([2 * first / (first + second), 2 * second / (first + second)])
    torch.testing.assert_close(method.weights(losses), expected)


def test_a_task_without_a_label_in_an_epoch_keeps_its_ratio() -> None:
    method = DWA()
    method.build(2)
    for losses in ([1.0, 2.0], [0.5, 1.8], [0.4, math.nan]):
        method.observe_epoch(torch.tensor(losses))
    expected = 2 * torch.softmax(torch.tensor([0.8, 0.9]) / 2, dim=0)
    torch.testing.assert_close(method.weights(torch.ones(2)), expected)


def test_a_loss_of_zero_does_not_divide() -> None:
    method = DWA()
    method.build(2)
    method.observe_epoch(torch.zeros(2))
    method.observe_epoch(torch.ones(2))
    torch.testing.assert_close(method.weights(torch.ones(2)), torch.ones(2))


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature=0 must be above 0"):
        DWA(temperature=0)
