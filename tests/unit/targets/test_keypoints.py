"""Keypoints under augmentation, checked on pictures that show where they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample, collate
from mtl.data.augment.augment import Augment
from mtl.data.sets.stick_figures import JOINTS, StickFigures
from mtl.data.shards.sample_bytes import decode_sample, encode_sample
from mtl.targets.overlay import Points
from mtl.targets.target import target_of
from mtl.task import Task

SIDE = 48
TASK = Task("points", "keypoints", class_names=("nose", "left_hand", "right_hand"))
CENTRES = torch.tensor([[10.0, 8.0], [30.0, 14.0], [20.0, 36.0]])


class Squares(Dataset[Sample]):
    """Each point is the middle of a square of 4 x 4 pixels in a channel of its own."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
        for channel, (x, y) in enumerate(CENTRES.int().tolist()):
            image[channel, y - 2 : y + 2, x - 2 : x + 2] = 255
        return {
            "image": tv_tensors.Image(image),
            "points": tv_tensors.KeyPoints(CENTRES.clone(), canvas_size=(SIDE, SIDE)),  # type: ignore[call-overload]
        }


def draw(seed: int = 0, **settings: Any) -> Sample:
    augment = Augment(**{"flip_horizontal": 0.0, **settings})
    return augment(Squares(), 0, {"points": TASK}, np.random.default_rng(seed))


def seen(image: Tensor) -> Tensor:
    """Where the squares are, [3,2]."""
    light = torch.where(image > 128, image, 0).double()  # without the grey of a border
    place = torch.arange(SIDE).double() + 0.5
    mass = light.sum((1, 2))
    return torch.stack((light.sum(1) @ place / mass, light.sum(2) @ place / mass), 1).float()


@pytest.mark.parametrize(
    "settings",
    [{"turn": 1.0}, {"zoom": (0.6, 0.9)}, {"translate": 0.1}, {"flip_horizontal": 1.0, "flip_vertical": 1.0}],
    ids=["turn", "zoom", "translate", "half_turn"],
)
def test_points_stay_on_what_they_mark(settings: dict[str, Any]) -> None:
    for seed in range(4):
        sample = draw(seed, **settings)
        torch.testing.assert_close(sample["points"].as_subclass(Tensor), seen(sample["image"]), atol=0.3, rtol=0)


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_a_flip_exchanges_left_and_right(axis: str) -> None:
    sample = draw(**{f"flip_{axis}": 1.0})
    # the square of the left hand now shows a right one
    torch.testing.assert_close(sample["points"].as_subclass(Tensor), seen(sample["image"])[[0, 2, 1]])


def test_a_point_that_leaves_the_picture_is_unknown() -> None:
    for seed in range(8):
        sample = draw(seed, zoom=(2.5, 2.5))
        points = sample["points"].as_subclass(Tensor)
        shown = sample["image"].flatten(1).amax(1) > 128
        known = points.isfinite().all(1)
        assert (shown | ~known).all()
        assert ((points >= 0) & (points < SIDE))[known].all()


def test_batches_mark_what_is_missing_and_mixes_reorder_the_points() -> None:
    sample = Squares()[0]
    batch = collate([sample, {"image": sample["image"]}], {"points": TASK})
    assert batch["points"].shape == (2, 3, 2)
    assert batch["points"][1].isnan().all()
    assert batch["labelled/points"].tolist() == [True, False]
    moved = target_of(TASK).reindexed({"points": sample["points"][:2]}, torch.tensor([2, 0]))["points"]
    torch.testing.assert_close(
        moved.as_subclass(Tensor), torch.stack((CENTRES[1], torch.full((2,), torch.nan), CENTRES[0])), equal_nan=True
    )


def test_a_table_has_two_columns_for_each_point_and_leaves_out_what_is_uncertain() -> None:
    predictions = {"points": CENTRES[None], "scores": torch.tensor([[0.9, 0.1, 0.8]])}
    row = target_of(TASK).row(target_of(TASK).overlay(predictions, 0, min_score=0.5))
    assert row == {
        "points/nose_x": 10.0,
        "points/nose_y": 8.0,
        "points/left_hand_x": "",
        "points/left_hand_y": "",
        "points/right_hand_x": 20.0,
        "points/right_hand_y": 36.0,
    }


def test_points_go_back_to_the_pixels_of_the_file() -> None:
    found = Points(CENTRES).in_file(torch.tensor([2.0, 2.0, 0.0, -20.0]), 40, 80)
    expected = torch.tensor([[20.0, 0.0], [60.0, 8.0], [40.0, 40.0]])  # in a bar, in, below
    torch.testing.assert_close(found.points, expected, equal_nan=True)


def test_shards_keep_them() -> None:
    back = decode_sample(encode_sample(Squares()[0]))["points"]
    assert isinstance(back, tv_tensors.KeyPoints)
    assert back.canvas_size == (SIDE, SIDE)
    torch.testing.assert_close(back.as_subclass(Tensor), CENTRES)


def test_stick_figures_wear_their_joints(tmp_path: Path) -> None:
    data = StickFigures(**StickFigures.example_args(tmp_path), noise=0.0)
    data.setup("fit")
    for sample in data.train_set:  # type: ignore[attr-defined]
        points = sample["joints"].as_subclass(Tensor)
        assert points.shape == (len(JOINTS), 2)
        assert ((points > 0) & (points < 32)).all()
        left, right = (sample["joints"][JOINTS.index(f"{side}_shoulder"), 0] for side in ("left", "right"))
        assert left > right  # the person faces the camera
        hands = sum(points[JOINTS.index(f"{side}_hand"), 1] < points[0, 1] for side in ("left", "right"))
        assert sample["raised"] == int(hands)
        x, y = points[0].int().tolist()
        hand_x, hand_y = points[JOINTS.index("left_hand")].int().tolist()
        # head and hand have the colour of the skin; a hand is about two pixels wide
        away = (sample["image"][:, y, x].float() - sample["image"][:, hand_y, hand_x].float()).abs().mean()
        assert away < 60
