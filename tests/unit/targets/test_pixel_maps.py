"""Maps under augmentation, checked on a scene whose depth and normals are known in every view."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample, collate
from mtl.data.augment.augment import Augment
from mtl.targets.move import Move
from mtl.targets.target import target_of
from mtl.task import Task

SIDE = 32
TASKS = {name: Task(name, name) for name in ("depth", "inverse_depth", "normals", "edges")}


class Ramp(Dataset[Sample]):
    """A picture whose colour holds its column and row; a surface that leans to the right."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        image = torch.stack((columns, rows, torch.zeros(SIDE, SIDE))).to(torch.uint8) * 4 + 1
        depth = 1.0 + columns.float()
        normals = torch.tensor([0.6, 0.0, -0.8])[:, None, None].expand(3, SIDE, SIDE).clone()
        return {
            "image": tv_tensors.Image(image),
            "depth": tv_tensors.Mask(depth),
            "inverse_depth": tv_tensors.Mask(1 / depth),
            "normals": tv_tensors.Mask(normals),
            "edges": tv_tensors.Mask((columns % 4 == 0).float()),
        }


def draw(seed: int = 0, **settings: Any) -> Sample:
    augment = Augment(**{"flip_horizontal": 0.0, **settings})
    return augment(Ramp(), 0, TASKS, np.random.default_rng(seed))


def test_zoom_divides_depth_and_multiplies_inverse_depth() -> None:
    sample = draw(zoom=(2.0, 2.0))
    known = sample["depth"].isfinite()
    assert known.all()
    # the picture says which column is seen; halved by the zoom
    columns = (sample["image"][0].float() - 1) / 4
    assert (sample["depth"] - (1 + columns) / 2).abs().max() <= 0.5
    torch.testing.assert_close((sample["depth"] * sample["inverse_depth"]).as_subclass(Tensor), torch.ones(SIDE, SIDE))


def test_zooming_out_leaves_the_border_unknown() -> None:
    sample = draw(zoom=(0.5, 0.5))
    for name in ("depth", "inverse_depth", "edges"):
        assert sample[name].isnan().float().mean() == pytest.approx(0.75, abs=0.02)
    assert sample["normals"].isnan().all(0).float().mean() == pytest.approx(0.75, abs=0.02)
    known = sample["edges"][~sample["edges"].isnan()]
    assert set(known.tolist()) <= {0.0, 1.0}  # nearest: nothing between


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"flip_horizontal": 1.0}, [-0.6, 0.0, -0.8]),
        ({"flip_vertical": 1.0}, [0.6, 0.0, -0.8]),
        ({}, [0.6, 0.0, -0.8]),
    ],
)
def test_flips_negate_one_component(settings: dict[str, float], expected: list[float]) -> None:
    assert draw(**settings)["normals"][:, 3, 3].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_normal_turns_with_the_gradient_of_its_depth(turns: int) -> None:
    """A surface z = x + 2 y has a normal along -(1, 2): whatever the turn, both must agree."""
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(5.0), indexing="ij")
    turned = torch.rot90(columns + 2 * rows, turns, (0, 1))
    normals = torch.tensor([-1.0, -2.0, -1.0])[:, None, None].expand(3, 5, 5)
    sample = {"normals": tv_tensors.Mask(torch.rot90(normals, turns, (1, 2)))}
    target_of(TASKS["normals"]).after_geometry(sample, Move(quarter_turns=turns))
    expected = [-(turned[0, 1] - turned[0, 0]), -(turned[1, 0] - turned[0, 0]), -1.0]
    assert sample["normals"][:, 2, 2].tolist() == pytest.approx([float(value) for value in expected])


def test_a_batch_fills_what_is_missing_with_nan() -> None:
    whole = Ramp()[0]
    batch = collate([whole, {"image": whole["image"]}], TASKS)
    assert batch["depth"].shape == (2, SIDE, SIDE)
    assert batch["normals"].shape == (2, 3, SIDE, SIDE)
    assert batch["depth"][0].isfinite().all()
    assert batch["normals"][1].isnan().all()
    assert batch["labelled/edges"].tolist() == [True, False]


def test_a_map_of_another_size_is_refused() -> None:
    whole = Ramp()[0]
    with pytest.raises(ValueError, match=r"'depth'.*shape \[3, 3\].*expected \[32, 32\]"):
        collate([{**whole, "depth": torch.ones(3, 3)}], TASKS)


def test_a_map_without_any_value_counts_as_missing() -> None:
    assert target_of(TASKS["depth"]).is_missing({"depth": torch.full((2, 2), torch.nan)})
    assert not target_of(TASKS["depth"]).is_missing({"depth": torch.tensor([[torch.nan, 1.0]])})


def test_a_mosaic_joins_four_maps() -> None:
    sample = draw(mosaic=1.0)
    assert sample["depth"].shape == (SIDE, SIDE)
    assert sample["normals"].shape == (3, SIDE, SIDE)
    assert sample["depth"].isfinite().all()
