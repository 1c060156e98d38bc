"""PCK against cases counted by hand."""

import pytest
import torch

from mtl.metrics.keypoints import KeypointMetrics
from mtl.task import Task

TASK = Task("points", "keypoints", class_names=("a", "b", "c"))
NAN = torch.nan


def test_a_point_is_found_within_a_tenth_of_the_larger_side() -> None:
    true = torch.tensor(
        [
            [[0.0, 0.0], [40.0, 0.0], [0.0, 20.0]],  # 40 x 20: found within 4 px
            [[0.0, 0.0], [NAN, NAN], [10.0, 5.0]],  # 10 x 5: within 1 px
            [[7.0, 7.0], [NAN, NAN], [NAN, NAN]],  # no size: not in pck, but in the distance
            [[0.0, 0.0], [50.0, 50.0], [9.0, 9.0]],  # nobody labelled it
        ]
    )
    off = torch.tensor([[4.0, 4.1, 0.0], [1.0, 99.0, 2.0], [3.0, 99.0, 99.0], [99.0, 99.0, 99.0]])
    found = true.nan_to_num() + torch.stack((off, torch.zeros_like(off)), -1)
    batch = {"points": true, "labelled/points": torch.tensor([True, True, True, False])}
    metrics = KeypointMetrics(TASK)
    for rows in (slice(0, 2), slice(2, 4)):
        metrics.update({"points": found[rows]}, {key: value[rows] for key, value in batch.items()})
    values = {name: value.item() for name, value in metrics.compute(per_class=True).items()}
    assert values == pytest.approx(
        {"pck": 3 / 5, "pck/a": 1.0, "pck/b": 0.0, "pck/c": 0.5, "error_px": (4 + 4.1 + 0 + 1 + 2 + 3) / 6}
    )


def test_it_does_not_depend_on_where_and_how_large_the_thing_is() -> None:
    generator = torch.Generator().manual_seed(0)
    true, noise = torch.rand(8, 3, 2, generator=generator), torch.rand(8, 3, 2, generator=generator) * 0.15
    values = []
    for scale, shift in ((1.0, 0.0), (37.0, 5.0)):
        metrics = KeypointMetrics(TASK)
        metrics.update({"points": (true + noise) * scale + shift}, {"points": true * scale + shift})
        values.append(metrics.compute()["pck"])
    assert 0 < values[0] < 1
    assert values[0] == values[1]


def test_distances_are_in_pixels_of_the_file() -> None:
    """A file of 400 x 100, stretched to 100 x 100: what looks like a square is four times as wide."""
    true = torch.tensor([[[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]])
    off = torch.tensor([[[0.5, 0.0], [0.0, 3.0], [1.1, 0.0]]])  # 2, 3 and 4.4 px of the file, whose tenth is 4
    metrics = KeypointMetrics(TASK)
    batch = {"points": true + 20, "to_original": torch.tensor([[4.0, 1.0, -40.0, 7.0]])}
    metrics.update({"points": true + off + 20}, batch)
    assert {name: value.item() for name, value in metrics.compute().items()} == pytest.approx(
        {"pck": 2 / 3, "error_px": (2 + 3 + 4.4) / 3}
    )
