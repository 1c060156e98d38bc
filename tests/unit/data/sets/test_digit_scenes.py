"""Digit scenes: the seed determines the scenes, splits share no digit, targets are right."""

from functools import cache
from typing import Any

import pytest
import torch
from torchvision.ops import box_iou

from mtl.data.sets.digit_scenes import CLASS_NAMES, DigitScenes, SceneSet, source_digits

OPTIONS: dict[str, Any] = {
    "image_size": 64,
    "min_digit_px": 12,
    "max_digit_px": 28,
    "max_digits": 4,
    "noise": 0.05,
    "texture": 0.3,
}
TASKS = ["boxes", "largest", "count", "parity"]


@cache
def scenes(split: str = "train", num: int = 200, seed: int = 0, **options: Any) -> SceneSet:
    return SceneSet(split, num, seed, TASKS, **{**OPTIONS, **options})


def equal(one: SceneSet, other: SceneSet) -> bool:
    return len(one) == len(other) and torch.equal(one.images, other.images)


def test_the_seed_decides_everything() -> None:
    again = SceneSet("train", 200, 0, TASKS, **OPTIONS)
    assert equal(scenes(), again)
    for index in range(0, 200, 40):
        assert torch.equal(scenes()[index]["boxes"], again[index]["boxes"])
        assert torch.equal(scenes()[index]["box_labels"], again[index]["box_labels"])
    assert not equal(scenes(), scenes(seed=1))
    assert not equal(scenes(), scenes("val"))


def test_no_source_digit_is_in_two_splits_and_all_are_used() -> None:
    rows = {split: {digit.tobytes() for digit in source_digits(split)[0]} for split in ("train", "val", "test")}
    counts = {split: len(source_digits(split)[0]) for split in rows}
    assert sum(counts.values()) == 1797
    assert counts["train"] > 1200
    assert not rows["train"] & rows["val"]
    assert not rows["train"] & rows["test"]
    assert not rows["val"] & rows["test"]


def test_every_split_has_every_class_evenly() -> None:
    for split in ("train", "val", "test"):
        counts = torch.bincount(torch.from_numpy(source_digits(split)[1]), minlength=10)
        assert counts.min() > 0.8 * counts.max()


def test_samples_have_the_form_that_batches_are_made_of() -> None:
    sample = scenes()[3]
    assert sample["image"].shape == (3, 64, 64)
    assert sample["image"].dtype == torch.uint8
    assert sample["image_id"] == 3
    assert sample["orig_size"].tolist() == [64, 64]
    assert sample["to_original"].tolist() == [1, 1, 0, 0]
    assert len(sample["boxes"]) == len(sample["box_labels"]) >= 1


def test_targets_of_the_image_follow_from_the_boxes() -> None:
    for index in range(200):
        sample = scenes()[index]
        boxes, labels = torch.as_tensor(sample["boxes"]), sample["box_labels"]
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        largest = labels[areas >= areas.max() - 1e-3].tolist()
        assert sample["largest"] in largest
        assert sample["count"] == len(boxes)
        assert sample["parity"] == sample["largest"] % 2


def test_boxes_lie_in_the_image_and_hardly_overlap() -> None:
    for index in range(200):
        boxes = torch.as_tensor(scenes()[index]["boxes"])
        assert boxes.min() >= 0
        assert boxes.max() <= 64
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert box_iou(boxes, boxes).fill_diagonal_(0).max() <= 0.05 + 1e-6


def test_one_to_four_digits_all_of_them_common() -> None:
    counts = torch.tensor([scenes()[index]["count"] for index in range(200)]).long().bincount(minlength=5)
    assert counts[0] == 0
    assert (counts[1:] > 25).all()


def test_digits_are_as_large_as_asked() -> None:
    sizes = []
    for index in range(200):
        boxes = torch.as_tensor(scenes()[index]["boxes"])
        sizes.append((boxes[:, 3] - boxes[:, 1]).max())
    # a digit fills its square from top to bottom, or nearly
    assert max(sizes) <= 28
    assert max(sizes) > 24
    small = scenes(min_digit_px=12, max_digit_px=12)
    heights = [(box[3] - box[1]) for i in range(20) for box in torch.as_tensor(small[i]["boxes"])]
    assert 9 <= min(heights) <= max(heights) <= 12


def test_boxes_are_tight_around_the_ink() -> None:
    """Without texture and noise everything that is not black is ink; faint edges below a fifth do not count."""
    plain = scenes(num=60, noise=0.0, texture=0.0)
    for index in range(60):
        sample = plain[index]
        ink = sample["image"].float().amax(0)
        ink = ink > 0.2 * ink.max()
        inside = torch.zeros_like(ink)
        for left, top, right, bottom in torch.as_tensor(sample["boxes"]).tolist():
            # one cell of the 8 x 8 source is blurred over up to 28 / 8 px
            grown = [int(max(0, left - 2)), int(max(0, top - 2)), int(right + 3), int(bottom + 3)]
            inside[grown[1] : grown[3], grown[0] : grown[2]] = True
            patch = ink[int(top) : round(bottom + 0.5), int(left) : round(right + 0.5)]
            for lines in (patch.any(0), patch.any(1)):
                where = lines.nonzero().flatten()
                assert where[0] <= 4
                assert where[-1] >= len(lines) - 5
        assert not (ink & ~inside).any()


def test_noise_and_texture_can_be_turned_off() -> None:
    assert int((scenes(num=60, noise=0.0, texture=0.0)[0]["image"] == 0).sum()) > 1000
    assert scenes(num=60)[0]["image"].float().std() > 0


def test_tasks_are_those_asked_for() -> None:
    assert list(DigitScenes().tasks) == ["boxes", "largest"]
    every = DigitScenes(image_tasks=["largest", "count", "parity"]).tasks
    assert {name: (task.kind, task.num_classes) for name, task in every.items()} == {
        "boxes": ("detection", 10),
        "largest": ("classification", 10),
        "count": ("regression", 0),
        "parity": ("classification", 2),
    }
    assert every["boxes"].class_names == CLASS_NAMES
    assert DigitScenes.declare_tasks(image_tasks=["parity"], batch_size=7).keys() == {"boxes", "parity"}


def test_a_split_is_made_once_and_only_when_needed() -> None:
    data = DigitScenes(num_train=8, num_val=4, num_test=4, batch_size=4)
    data.setup("fit")
    before = data.train_set
    assert not hasattr(data, "test_set")
    data.setup("fit")
    data.setup("test")
    assert data.train_set is before
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [8, 4, 4]  # type: ignore[arg-type]


def test_batches_carry_every_target() -> None:
    data = DigitScenes(image_tasks=["largest", "count", "parity"], num_train=8, num_val=4, num_test=4, batch_size=4)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 3, 64, 64)
    assert batch["boxes"].shape == (4, 8, 4)
    for task in data.tasks:
        assert batch[f"labelled/{task}"].tolist() == [True] * 4
    assert batch["count"].dtype == torch.float32


@pytest.mark.parametrize("sizes", [{"max_digit_px": 80}, {"min_digit_px": 4}, {"min_digit_px": 30}])
def test_rejects_digits_that_do_not_fit(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"digit sizes \d+..\d+ px must be within 8..image_size=64"):
        DigitScenes(**sizes)  # type: ignore[arg-type]


def test_rejects_empty_splits() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        DigitScenes(num_val=0)
