"""Smooth Tchebycheff scalarisation: both methods with this name."""

import math

import pytest
import torch

from mtl.balancing.stch import STCH


def test_raw_form_is_the_formula_of_the_paper() -> None:
    method = STCH(mu=0.5, values="raw", preferences=[0.6, 0.4], ideal=[1.0, 0.0])
    expected = 0.5 * math.log(math.exp(0.6 * 2 / 0.5) + math.exp(0.4 * 2 / 0.5))
    assert method(torch.tensor([3.0, 2.0])).item() == pytest.approx(expected)


def test_small_mu_is_the_maximum_and_does_not_overflow() -> None:
    method = STCH(mu=1e-3, values="raw", preferences=[0.5, 0.5])
    torch.testing.assert_close(method.weights(torch.tensor([1.0, 1e3])), torch.tensor([0.0, 0.5]))


def test_log_form_sums_logarithms_until_the_nadir_is_set() -> None:
    method, losses = STCH(warmup_epochs=1), torch.tensor([2.0, 4.0])
    method.build(2)
    for mean in ([8.0, 8.0], [4.0, 4.0]):
        torch.testing.assert_close(method.weights(losses), 1 / losses)
        method.observe_epoch(torch.tensor(mean))
    # nadir 4 and 4: exponents 1/2 and 1; weights K * softmax / L
    torch.testing.assert_close(method.weights(losses), 2 * torch.tensor([1 / 3, 2 / 3]) / losses)
    method.observe_epoch(torch.tensor([1.0, 1.0]))  # comes too late to count
    torch.testing.assert_close(method.nadir_K, torch.tensor([4.0, 4.0]))


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(ValueError, match="ideal has no effect with values='log'"):
        STCH(ideal=[0.0, 0.0])
    with pytest.raises(ValueError, match="mu=0 must be above 0"):
        STCH(mu=0)
    with pytest.raises(ValueError, match="preferences has 3 entries for 2 tasks"):
        STCH(preferences=[1.0, 1.0, 1.0])(torch.ones(2))
