"""Regression head: loss by hand, standardised targets."""

import pytest
import torch

from mtl.features import FeatureSpec
from mtl.heads.whole.regression import RegressionHead
from mtl.task import Task

TASK, SPEC = Task("age", "regression"), FeatureSpec({"c4": 4}, {"c4": 16})


def test_loss_is_measured_in_standard_deviations() -> None:
    outputs, batch = {"standardised": torch.tensor([0.0, 0.0])}, {"age": torch.tensor([45.0, 60.0])}
    # 0.5 and 2 standard deviations off: squared below one, linear above
    smooth = RegressionHead(TASK, SPEC, target_mean=40, target_std=10).loss(outputs, batch)
    assert smooth.item() == pytest.approx((0.5**2 / 2 + 2 - 0.5) / 2)
    squared = RegressionHead(TASK, SPEC, error="mse", target_mean=40, target_std=10).loss(outputs, batch)
    assert squared.item() == pytest.approx((0.5**2 + 2**2) / 2)
    absolute = RegressionHead(TASK, SPEC, error="l1", target_mean=40, target_std=10).loss(outputs, batch)
    assert absolute.item() == pytest.approx((0.5 + 2) / 2)


def test_values_come_back_in_the_unit_of_the_target() -> None:
    head = RegressionHead(TASK, SPEC, target_mean=40, target_std=10)
    assert head.decode({"standardised": torch.tensor([0.5])})["values"].tolist() == [45.0]


def test_a_missing_target_gives_no_gradient() -> None:
    standardised = torch.zeros(2, requires_grad=True)
    RegressionHead(TASK, SPEC).loss({"standardised": standardised}, {"age": torch.tensor([torch.nan, 5.0])}).backward()
    assert standardised.grad is not None
    assert standardised.grad.tolist() == [0.0, -1.0]


def test_a_spread_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="must be above 0; got 0"):
        RegressionHead(TASK, SPEC, target_std=0)
