"""Depth metrics against a plain numpy computation over all measured pixels."""

import math

import numpy as np
import pytest
import torch

from mtl.metrics.depth import DepthMetrics
from mtl.task import Task

TASK = Task("depth", "depth")


def test_equals_numpy_over_uneven_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    found = torch.rand(5, 6, 7, generator=generator) * 4 + 0.2
    true = torch.rand(5, 6, 7, generator=generator) * 4 + 0.2
    true[torch.rand(true.shape, generator=generator) < 0.3] = torch.nan
    true[4, 0, 0] = 0.0  # sensors write 0 where they saw nothing
    labelled = torch.tensor([True, True, False, True, True])
    metrics = DepthMetrics(TASK)
    for part in (slice(0, 1), slice(1, 5)):
        metrics.update({"values": found[part]}, {"depth": true[part], "labelled/depth": labelled[part]})
    p, t = found[labelled].double().numpy().ravel(), true[labelled].double().numpy().ravel()
    p, t = p[t > 0], t[t > 0]
    ratio = np.maximum(p / t, t / p)
    expected = {
        "abs_err": np.abs(p - t).mean(),
        "rel_err": (np.abs(p - t) / t).mean(),
        "rmse": math.sqrt(((p - t) ** 2).mean()),
        "rmse_log": math.sqrt(((np.log(p) - np.log(t)) ** 2).mean()),
        "delta_1": (ratio < 1.25).mean(),
        "delta_2": (ratio < 1.25**2).mean(),
        "delta_3": (ratio < 1.25**3).mean(),
    }
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values == pytest.approx(expected, rel=1e-6)


def test_a_prediction_below_zero_is_wrong_and_finite() -> None:
    metrics = DepthMetrics(TASK)
    metrics.update({"values": torch.tensor([[[-1.0, 2.0]]])}, {"depth": torch.tensor([[[1.0, 2.0]]])})
    values = metrics.compute()
    assert values["delta_3"].item() == 0.5
    assert values["abs_err"].item() == 1.0
    assert all(value.isfinite() for value in values.values())
