"""Angles against numpy's arc cosine in double precision; the median against the sorted angles."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mtl.metrics.normals import NormalMetrics, angles
from mtl.task import Task

TASK = Task("normals", "normals")


def test_equals_numpy_over_uneven_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    true = F.normalize(torch.randn(5, 3, 16, 16, generator=generator), dim=1)
    found = F.normalize(true + 0.3 * torch.randn(true.shape, generator=generator), dim=1)
    true[2, :, :4] = torch.nan
    metrics = NormalMetrics(TASK)
    for part in (slice(0, 1), slice(1, 5)):
        metrics.update({"normals": found[part]}, {"normals": true[part]})
    cosine = (found.double() * true.double()).sum(1).numpy().ravel()
    degrees = np.degrees(np.arccos(np.clip(cosine[np.isfinite(cosine)], -1, 1)))
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values["mean"] == pytest.approx(degrees.mean(), abs=1e-3)
    # of an even number of angles the lower middle one, as `torch.median`
    assert values["median"] == pytest.approx(np.sort(degrees)[(len(degrees) - 1) // 2], abs=0.011)
    for name, limit in (("within_11_25", 11.25), ("within_22_5", 22.5), ("within_30", 30)):
        assert values[name] == pytest.approx((degrees < limit).mean(), abs=1e-6)


def test_small_angles_are_exact_in_float32() -> None:
    small = torch.tensor([0.0, 1e-3, 0.1, 179.0]).deg2rad()
    turned = torch.stack((small.cos(), small.sin(), torch.zeros(4)), 1)
    found = angles(turned, torch.tensor([[1.0, 0.0, 0.0]]).expand(4, 3))
    torch.testing.assert_close(found, small.rad2deg(), rtol=1e-5, atol=1e-6)


def test_a_vector_without_length_is_not_right() -> None:
    assert angles(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]])).item() == 90
