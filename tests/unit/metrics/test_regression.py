"""Regression metrics against scikit-learn's."""

import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from mtl.metrics.regression import RegressionMetrics
from mtl.task import Task

TASK = Task("age", "regression")


def test_equals_scikit_learn_over_several_batches_and_missing_labels() -> None:
    values, target = torch.randn(40) * 3 + 20, torch.randn(40) * 3 + 20
    known = torch.rand(40) < 0.7
    metrics = RegressionMetrics(TASK)
    filled = torch.where(known, target, torch.nan)
    for part in (slice(0, 13), slice(13, 40)):
        metrics.update({"values": values[part]}, {"age": filled[part], "labelled/age": known[part]})
    found = metrics.compute()
    assert found["mae"].item() == pytest.approx(
        mean_absolute_error(target[known].numpy(), values[known].numpy()), rel=1e-5
    )
    assert found["rmse"].item() == pytest.approx(
        root_mean_squared_error(target[known].numpy(), values[known].numpy()), rel=1e-5
    )
    assert found["r2"].item() == pytest.approx(r2_score(target[known].numpy(), values[known].numpy()), rel=1e-4)


def test_r2_holds_for_targets_far_from_zero() -> None:
    target = 1e6 + torch.arange(10.0)
    metrics = RegressionMetrics(TASK)
    metrics.update({"values": target}, {"age": target})
    assert metrics.compute()["r2"].item() == pytest.approx(1.0)


def test_r2_is_left_out_where_it_has_no_value() -> None:
    metrics = RegressionMetrics(TASK)
    metrics.update({"values": torch.tensor([1.0])}, {"age": torch.tensor([2.0])})
    assert {name: value.item() for name, value in metrics.compute().items()} == {"mae": 1.0, "rmse": 1.0}
