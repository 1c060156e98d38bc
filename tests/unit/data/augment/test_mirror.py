"""What a mirror image changes beside places: classes of the other side, numbers of the other sign."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.data.augment.augment import Augment
from mtl.targets.move import mirrored
from mtl.task import InputSpec, Task

SIDES = ("turn_left", "straight", "turn_right")
TASKS = {
    "boxes": Task("boxes", "detection", class_names=("Right", "stop", "Left")),
    "turn": Task("turn", "classification", class_names=SIDES),
    "seen": Task("seen", "multilabel", class_names=SIDES),
    "lanes": Task("lanes", "segmentation", class_names=("bright", "left", "right")),
    "angle": Task("angle", "regression"),
    "speed": Task("speed", "regression"),
}
SAMPLE = {
    "image": tv_tensors.Image(torch.zeros(3, 4, 6, dtype=torch.uint8)),
    "boxes": tv_tensors.BoundingBoxes(torch.tensor([[0.0, 0, 2, 3], [3, 1, 6, 4]]), format="XYXY", canvas_size=(4, 6)),
    "box_labels": torch.tensor([0, 1]),
    "turn": 2,
    "seen": torch.tensor([1.0, 0.0, torch.nan]),
    "lanes": tv_tensors.Mask(torch.tensor([[1, 1, 0, 0, 2, -100]]).repeat(4, 1)),
    "angle": 0.25,
    "speed": 0.5,
}


class One(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        return dict(SAMPLE)


def draw(**settings: Any) -> dict[str, Any]:
    return Augment(**{"flip_horizontal": 0.0, "negate": ["angle"], **settings})(
        One(), 0, TASKS, np.random.default_rng(0)
    )


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_a_mirror_image_has_the_other_side(axis: str) -> None:
    sample = draw(**{f"flip_{axis}": 1.0})
    assert sample["box_labels"].tolist() == [2, 1]
    assert int(sample["turn"]) == 0
    assert sample["seen"].nan_to_num(-1).tolist() == [-1, 0, 1]
    row = sample["lanes"].as_subclass(Tensor)[0].tolist()
    assert row == ([-100, 1, 0, 0, 2, 2] if axis == "horizontal" else [2, 2, 0, 0, 1, -100])
    assert float(sample["angle"]) == -0.25
    assert sample["speed"] == 0.5


@pytest.mark.parametrize("settings", [{}, {"flip_horizontal": 1.0, "flip_vertical": 1.0}, {"turn": 1.0}])
def test_other_moves_have_the_same_side(settings: dict[str, Any]) -> None:
    sample = draw(**settings)
    assert (sample["box_labels"].tolist(), int(sample["turn"]), float(sample["angle"])) == ([0, 1], 2, 0.25)
    assert sorted(sample["lanes"].as_subclass(Tensor).unique().tolist()) == [-100, 0, 1, 2]


def test_a_missing_label_stays_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SAMPLE, "turn")
    monkeypatch.delitem(SAMPLE, "angle")
    sample = draw(flip_horizontal=1.0)
    assert sample.get("turn") is None
    assert sample.get("angle") is None


def test_only_pairs_of_names_change_places() -> None:
    assert mirrored(["left", "up", "right"]) == [2, 1, 0]
    assert mirrored(["bright", "upright", "left"]) == [0, 1, 2]
    assert mirrored(["LEFT eye", "RIGHT eye", "Left ear", "right ear"]) == [1, 0, 2, 3]
    assert mirrored([]) == []


def test_a_sign_needs_a_number() -> None:
    inputs = {"image": InputSpec("image", "image", channels=3)}
    Augment(negate=["angle"]).check(inputs, TASKS)
    for name in ("turn", "angel"):
        with pytest.raises(
            ValueError, match=f"negate='{name}' is no task whose target is a number; there are angle, speed"
        ):
            Augment(negate=[name]).check(inputs, TASKS)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("handLeft", "handRight"), ("l_hand", "r_hand"), ("hand.L", "hand.R"), ("hand-l", "hand-r"),
        ("handL", "handR"), ("upper left eye", "upper right eye"),
    ],
)  # fmt: skip
def test_sides_may_be_letters_and_a_class_that_is_a_letter_has_none(left: str, right: str) -> None:
    assert mirrored([left, "nose", right, "Lip", "curl", "l", "r"]) == [2, 1, 0, 3, 4, 5, 6]
