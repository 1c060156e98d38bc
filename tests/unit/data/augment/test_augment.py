"""Augmentation: boxes follow the pixels, labels stay with their boxes, random numbers come from the caller."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import IGNORE_INDEX, Sample, collate
from mtl.data.augment.augment import COLOR, Augment
from mtl.data.augment.color import apply_color
from mtl.data.resize import FILL
from mtl.task import InputSpec, Task

TASKS = {
    "boxes": Task("boxes", "detection", num_classes=3),
    "scene": Task("scene", "classification", num_classes=4),
    "present": Task("present", "multilabel", num_classes=3),
    "count": Task("count", "regression"),
    "regions": Task("regions", "segmentation", num_classes=4),
}
SIZE = (48, 64)
# value of the class's own colour channel; the mask holds class + 1
BRIGHT = 250


class Painted(Dataset[Sample]):
    """Pictures where box k is painted in the pure colour of its class, which is k, on black."""

    def __init__(self, without: str = "", num_boxes: int = 3) -> None:
        self.without = without
        self.num_boxes = num_boxes

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        image = torch.zeros(3, *SIZE, dtype=torch.uint8)
        regions = torch.zeros(SIZE, dtype=torch.long)
        boxes = []
        for k in range(self.num_boxes):
            # one third of the width each, so that boxes never overlap
            x, y = 21 * k + rng.integers(0, 8), rng.integers(0, 24)
            box = [x, y, x + rng.integers(6, 13), y + rng.integers(6, 24)]
            image[k, box[1] : box[3], box[0] : box[2]] = BRIGHT
            regions[box[1] : box[3], box[0] : box[2]] = k + 1
            boxes.append(box)
        sample = {
            "image": tv_tensors.Image(image),
            "image_id": index,
            "to_original": torch.tensor([1.0, 1.0, 0.0, 0.0]),
            "boxes": tv_tensors.BoundingBoxes(
                torch.tensor(boxes).reshape(-1, 4).float(), format="XYXY", canvas_size=SIZE
            ),
            "box_labels": torch.arange(self.num_boxes),
            "scene": 2,
            "present": torch.ones(3),
            "count": 3.0,
            "regions": tv_tensors.Mask(regions),
        }
        return {key: value for key, value in sample.items() if key not in (self.without, f"{self.without}_labels")}


def draw(augment: Augment, index: int, *, seed: int = 0, **options: Any) -> Sample:
    return augment(Painted(**options), index, TASKS, np.random.default_rng([seed, index]))


EVERYTHING = Augment(0.5, 0.5, 0.5, (0.5, 1.8), 0.3, mosaic=0.5, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)


@pytest.mark.parametrize(
    "augment",
    [
        Augment(flip_horizontal=1.0),
        Augment(flip_horizontal=0.0, flip_vertical=1.0),
        Augment(turn=1.0),
        Augment(zoom=(0.4, 0.9)),
        Augment(zoom=(1.1, 2.0)),
        Augment(translate=0.4),
        Augment(mosaic=1.0),
        EVERYTHING,
    ],
    ids=["mirror", "upside down", "turn", "zoom out", "zoom in", "shift", "mosaic", "everything"],
)
def test_boxes_and_masks_follow_the_pixels(augment: Augment) -> None:
    seen = 0
    for index in range(8):
        for seed in range(4):
            sample = draw(augment, index, seed=seed)
            assert sample["image"].shape == (3, *SIZE)
            assert sample["image"].dtype == torch.uint8
            assert len(sample["boxes"]) == len(sample["box_labels"])
            for box, label in zip(sample["boxes"].tolist(), sample["box_labels"].tolist(), strict=True):
                x0, y0, x1, y1 = (round(side) for side in box)
                painted = sample["image"][label] > FILL + 10
                # one pixel of the border is mixed by resizing
                assert painted[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].float().mean() > 0.99 or min(x1 - x0, y1 - y0) <= 2
                assert (sample["regions"][y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] == label + 1).float().mean() > 0.99 or (
                    min(x1 - x0, y1 - y0) <= 2
                )
                seen += 1
            # and nothing is painted that has no box: at most what was cut to less than min_visible
            boxed = torch.zeros(SIZE, dtype=torch.bool)
            for x0, y0, x1, y1 in sample["boxes"].round().int().tolist():
                boxed[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = True
            loose = (sample["regions"] > 0) & ~boxed
            assert loose.float().mean() < 0.06
    assert seen > 20


def test_maps_lie_on_the_pixels_after_a_zoom() -> None:
    """Over many zooms a rectangle of a map has the centre of its box; rounding to whole pixels has no direction."""
    shifts = []
    for seed in range(200):
        sample = draw(Augment(zoom=(0.6, 1.6), min_visible=1.0), seed % 8, seed=seed, num_boxes=1)
        if not len(sample["boxes"]):
            continue
        rows, columns = (sample["regions"] == 1).nonzero().double().add(0.5).mean(0).tolist()
        x0, y0, x1, y1 = sample["boxes"][0].tolist()
        shifts.append([columns - (x0 + x1) / 2, rows - (y0 + y1) / 2])
    assert len(shifts) > 100
    assert np.abs(np.mean(shifts, 0)).max() < 0.1


def test_a_mirrored_picture_is_exact() -> None:
    plain, mirrored = Painted()[3], draw(Augment(flip_horizontal=1.0), 3)
    assert torch.equal(mirrored["image"], plain["image"].flip(-1))
    x0, y0, x1, y1 = plain["boxes"].unbind(1)
    torch.testing.assert_close(
        mirrored["boxes"].as_subclass(torch.Tensor),
        torch.stack([64 - x1, y0, 64 - x0, y1], 1).as_subclass(torch.Tensor),
    )
    assert mirrored["scene"] == 2


def test_a_square_picture_turns_by_right_angles() -> None:
    class Square(Painted):
        def __getitem__(self, index: int) -> Sample:
            image = torch.zeros(3, 20, 20, dtype=torch.uint8)
            image[0, 2:8, 3:15] = BRIGHT
            boxes = tv_tensors.BoundingBoxes(torch.tensor([[3.0, 2, 15, 8]]), format="XYXY", canvas_size=(20, 20))
            return {"image": tv_tensors.Image(image), "boxes": boxes, "box_labels": torch.zeros(1, dtype=torch.long)}

    found = set()
    for seed in range(12):
        sample = Augment(0.0, turn=1.0)(Square(), 0, TASKS, np.random.default_rng(seed))
        x0, y0, x1, y1 = sample["boxes"][0].int().tolist()
        painted = torch.zeros(20, 20, dtype=torch.bool)
        painted[y0:y1, x0:x1] = True
        assert torch.equal(sample["image"][0] == BRIGHT, painted)
        found.add((x0, y0, x1, y1))
    assert found == {(2, 5, 8, 17), (5, 12, 17, 18), (12, 3, 18, 15)}


def test_without_any_change_the_sample_is_the_same() -> None:
    plain, same = Painted()[1], draw(Augment(flip_horizontal=0.0), 1)
    assert same.keys() == plain.keys() - {"to_original"}
    assert torch.equal(same["image"], plain["image"])
    assert torch.equal(same["boxes"], plain["boxes"])


def test_borders_are_grey_and_ignored_by_masks() -> None:
    sample = draw(Augment(flip_horizontal=0.0, zoom=(0.5, 0.5)), 0)
    border = sample["regions"] == IGNORE_INDEX
    assert border.float().mean() == pytest.approx(0.75, abs=0.02)
    # a pixel away from the edge of the picture
    assert (sample["image"][:, border] == FILL).float().mean() > 0.9


@pytest.mark.parametrize("num_boxes", [0, 1])
def test_pictures_with_no_or_one_box_pass_through_everything(num_boxes: int) -> None:
    for index in range(8):
        sample = draw(EVERYTHING, index, num_boxes=num_boxes)
        assert sample["boxes"].shape == (len(sample["box_labels"]), 4)
        assert sample["regions"].shape == SIZE


def test_pictures_without_annotation_stay_so() -> None:
    for index in range(8):
        sample = draw(EVERYTHING, index, without="boxes")
        assert "boxes" not in sample
        assert sample["image"].shape == (3, *SIZE)


def test_image_labels_of_a_mosaic_are_missing() -> None:
    sample = draw(Augment(mosaic=1.0), 0)
    assert not {"scene", "present", "count"} & sample.keys()
    assert sample["image_id"] == 0


def test_one_part_without_boxes_leaves_the_mosaic_without() -> None:
    class Partly(Painted):
        def __getitem__(self, index: int) -> Sample:
            self.without = "boxes" if index else ""
            return super().__getitem__(index)

    sample = Augment(mosaic=1.0)(Partly(), 0, TASKS, np.random.default_rng(0))
    assert "boxes" not in sample
    assert "box_labels" not in sample
    assert "regions" in sample


def test_a_lost_box_takes_the_image_labels_with_it_unless_they_are_kept() -> None:
    shift = {"flip_horizontal": 0.0, "zoom": (3.0, 3.0)}
    lost, kept = draw(Augment(**shift), 0), draw(Augment(**shift, lost_box="keep"), 0)
    assert len(lost["boxes"]) < 3
    assert "scene" not in lost
    assert kept["scene"] == 2
    torch.testing.assert_close(kept["boxes"], lost["boxes"])
    assert draw(Augment(zoom=(0.5, 0.5)), 0)["scene"] == 2


def test_only_boxes_that_stay_visible_are_kept() -> None:
    class Edge(Painted):
        def __getitem__(self, index: int) -> Sample:
            boxes = torch.tensor([[0.0, 0, 20, 20], [0, 0, 10, 10], [30, 20, 40, 30]])
            like = super().__getitem__(index)
            return like | {"boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE)}

    class FixedColumns:
        def __init__(self) -> None:
            # zoom, then for rows and columns: place and shift
            self.draws = [0.0, 0.0, 0.0, 0.0, 8 / 64]

        def random(self) -> float:
            return 0.99

        def uniform(self, low: float, high: float) -> float:
            return self.draws.pop(0)

    def visible(share: float) -> list[int]:
        rng: Any = FixedColumns()
        return Augment(0.0, translate=0.5, min_visible=share)(Edge(), 0, TASKS, rng)["box_labels"].tolist()

    # 12 of 20 and 2 of 10 columns stay
    assert visible(0.1) == [0, 1, 2]
    assert visible(0.3) == [0, 2]
    assert visible(0.7) == [2]


def test_the_same_numbers_give_the_same_sample() -> None:
    for index in range(8):
        one, other, different = (draw(EVERYTHING, index, seed=seed) for seed in (1, 1, 2))
        assert one.keys() == other.keys()
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one[COLOR], other[COLOR])
        assert not torch.equal(one[COLOR], different[COLOR])


def test_a_task_may_be_called_color() -> None:
    class Cars(Dataset[Sample]):
        def __getitem__(self, index: int) -> Sample:
            return {"image": tv_tensors.Image(torch.zeros(3, 8, 8, dtype=torch.uint8)), "color": torch.tensor(2)}

    tasks = {"color": Task("color", "classification", num_classes=3)}
    sample = Augment(brightness=0.5)(Cars(), 0, tasks, np.random.default_rng(0))
    assert sample["color"] == 2
    assert collate([sample, sample], tasks)["color"].tolist() == [2, 2]


def test_no_global_random_number_is_drawn() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for index in range(8):
        draw(EVERYTHING, index)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mosaic": 1.5}, "mosaic=1.5 is a probability"),
        ({"zoom": (1.5, 0.5)}, "the smaller first"),
        ({"zoom": (0.0, 1.0)}, "above 0"),
        ({"translate": 0.7}, "within 0..0.5"),
        ({"brightness": 1.5}, "within 0..1"),
    ],
)
def test_rejects_settings_that_mean_nothing(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augment(**options)


class Lacking(Painted):
    """Every other sample has no picture, and so no boxes and no mask."""

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if index % 2:
            sample = {name: value for name, value in sample.items() if name in ("image_id", "to_original", "scene")}
        return sample


@pytest.mark.parametrize("settings", [{"flip_horizontal": 1.0, "zoom": (0.5, 2.0), "hue": 0.1}, {"mosaic": 1.0}])
def test_a_sample_without_a_picture_stays_as_it_is_and_fits_into_a_batch(settings: dict[str, Any]) -> None:
    augment, dataset = Augment(**settings), Lacking()
    samples = [augment(dataset, index, TASKS, np.random.default_rng(index)) for index in range(8)]
    assert [sample["scene"] for sample in samples[1::2]] == [2] * 4
    assert not any("image" in sample for sample in samples[1::2])
    # a mosaic would double the picture or lose the class
    assert all(sample["image"].shape == (3, *SIZE) for sample in samples[::2])
    inputs = {"image": InputSpec("image", "image", 3, optional=True)}
    batch = collate(samples, TASKS, inputs)
    assert batch["present/image"].tolist() == [True, False] * 4
    assert batch["labelled/boxes"].tolist() == [True, False] * 4
    if COLOR in batch:
        blank = apply_color(batch["image"], batch[COLOR])[1::2]
        torch.testing.assert_close(blank, torch.zeros_like(blank), atol=1e-6, rtol=0)


def test_a_sample_whose_mosaic_would_have_an_absent_picture_has_none() -> None:
    augment, dataset = Augment(mosaic=1.0), Lacking()
    drawn = [np.random.default_rng(seed) for seed in range(40)]
    whole = [all(int(i) % 2 == 0 for i in (rng.random(), rng.integers(8, size=3))[1]) for rng in drawn]
    assert 0 < sum(whole) < 40
    found = [augment(dataset, 0, TASKS, np.random.default_rng(seed)) for seed in range(40)]
    assert ["scene" not in sample for sample in found] == whole
