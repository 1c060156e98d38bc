"""FAMO: its internal Adam against torch's."""

import pytest
import torch

from mtl.balancing.famo import FAMO


def test_first_objective_has_weights_that_sum_to_one() -> None:
    losses = torch.tensor([1.0, 4.0], dtype=torch.float64)
    method = FAMO()
    # z / D over its sum: 1 / (1 + 1/4)
    torch.testing.assert_close(method.weights(losses), torch.tensor([0.8, 0.2], dtype=torch.float64))


def test_its_step_is_that_of_adam_on_the_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    method = FAMO(lr=0.1, weight_decay=0.01)
    method.build(3)
    method.double()
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.1, weight_decay=0.01)
    for _ in range(6):
        before, after = torch.rand(2, 3, generator=generator, dtype=torch.float64) + 0.1
        method(before)
        method.observe_step(after)
        fall = torch.log(before + 1e-8) - torch.log(after + 1e-8)
        adam.zero_grad()
        (torch.softmax(logits, 0) * fall).sum().backward()
        adam.step()
        torch.testing.assert_close(method.logits_K, logits.detach())


def test_a_task_that_fell_less_gains_weight() -> None:
    method = FAMO()
    method(torch.tensor([1.0, 1.0]))
    method.observe_step(torch.tensor([0.5, 0.9]))
    assert method.logits_K[1] > method.logits_K[0]


def test_a_missing_task_keeps_its_weight_and_an_odd_step_changes_nothing() -> None:
    method = FAMO(weight_decay=0.0)
    method(torch.tensor([1.0, 0.0, 1.0]), present=[True, False, True])
    method.observe_step(torch.tensor([0.5, 0.0, 0.9]))
    assert method.logits_K[1] == 0
    before = method.logits_K.clone()
    method(torch.ones(3))
    method.observe_step(torch.tensor([0.5, torch.nan, 0.5]))
    torch.testing.assert_close(method.logits_K, before, rtol=0, atol=0)
    assert method.step == 1


def test_the_lowest_losses_are_subtracted() -> None:
    losses = torch.tensor([2.0, 5.0], dtype=torch.float64)
    method, shifted = FAMO(min_losses=[1.0, 1.0]), FAMO()
    torch.testing.assert_close(method.weights(losses), shifted.weights(losses - 1))


def test_it_asks_for_the_losses_after_the_step() -> None:
    assert FAMO.losses_after_step
    with pytest.raises(ValueError, match="min_losses has 1 entries for 2 tasks"):
        FAMO(min_losses=[0.0])(torch.ones(2))
    with pytest.raises(ValueError, match="lr=0 must be above 0"):
        FAMO(lr=0)
