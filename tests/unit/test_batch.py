"""Padding, missing targets, masks, and the way back to original pixels."""

from typing import Any

import pytest
import torch
from torchvision import tv_tensors

from mtl.batch import IGNORE_INDEX, LABELLED, check_keys, collate, labelled, labelled_tasks
from mtl.targets.detection import BOXES_MULTIPLE, PADDING_LABEL, box_mask
from mtl.targets.overlay import boxes_to_original
from mtl.task import IMAGE, InputSpec, Task

BOXES = Task("boxes", "detection", 3)
SCENE = Task("scene", "classification", 4)
TAGS = Task("tags", "multilabel", 2)
AGE = Task("age", "regression")
TASKS = {task.name: task for task in (BOXES, SCENE, TAGS, AGE)}


def sample(num_boxes: int | None = None, **targets: Any) -> dict[str, Any]:
    image = tv_tensors.Image(torch.full((3, 4, 6), 7, dtype=torch.uint8))
    made: dict[str, Any] = {"image": image, "image_id": 5, "orig_size": torch.tensor([4, 6]), **targets}
    if num_boxes is not None:
        corners = torch.tensor([[0.0, 1.0, 2.0, 3.0]]).repeat(num_boxes, 1)
        made["boxes"] = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(4, 6))
        made["box_labels"] = torch.arange(num_boxes) % 3
    return made


def test_boxes_are_padded_to_a_multiple_and_padding_has_its_own_label() -> None:
    batch = collate([sample(2), sample(0), sample(9)], {"boxes": BOXES})
    assert batch["boxes"].shape == (3, 2 * BOXES_MULTIPLE, 4)
    assert batch["box_labels"][0].tolist() == [0, 1] + [PADDING_LABEL] * 14
    assert batch["boxes"][0, :2].tolist() == [[0, 1, 2, 3]] * 2
    assert batch["boxes"][1].abs().sum() == 0
    assert (batch["box_labels"] >= 0).sum(1).tolist() == [2, 0, 9]


def test_no_boxes_at_all_still_gives_one_padded_row() -> None:
    batch = collate([sample(0), sample(0)], {"boxes": BOXES})
    assert batch["boxes"].shape == (2, BOXES_MULTIPLE, 4)
    assert batch["box_labels"].unique().tolist() == [PADDING_LABEL]


def test_not_annotated_is_not_no_objects() -> None:
    batch = collate([sample(0), sample(None)], {"boxes": BOXES})
    assert batch["labelled/boxes"].tolist() == [True, False]


def test_missing_targets_are_marked_by_kind() -> None:
    full = sample(1, scene=3, tags=torch.tensor([1.0, 0.0]), age=30.5)
    batch = collate([full, sample(1)], TASKS)
    assert batch["scene"].tolist() == [3, IGNORE_INDEX]
    assert batch["scene"].dtype == torch.int64
    assert batch["tags"][0].tolist() == [1, 0]
    assert batch["tags"][1].isnan().all()
    assert batch["age"][0] == 30.5
    assert batch["age"][1].isnan()
    for task in (SCENE, TAGS, AGE):
        assert batch[task.labelled_field].tolist() == [True, False]


def test_a_sample_may_say_itself_that_it_is_not_labelled() -> None:
    declared = sample(2, **{"labelled/boxes": False})
    batch = collate([declared, sample(2)], {"boxes": BOXES})
    assert batch["labelled/boxes"].tolist() == [False, True]
    assert box_mask(batch, BOXES).sum(1).tolist() == [0, 2]


def test_a_target_of_none_counts_as_missing() -> None:
    batch = collate([sample(scene=None), sample(scene=2)], {"scene": SCENE})
    assert batch["scene"].tolist() == [IGNORE_INDEX, 2]
    assert batch["labelled/scene"].tolist() == [False, True]


def test_a_kind_knows_its_missing_value_where_nobody_has_a_label() -> None:
    mask = Task("mask", "segmentation", 3)
    batch = collate([sample(), sample()], {"mask": mask, **TASKS})
    assert batch["mask"].shape == (2, 4, 6)
    assert batch["mask"].unique().tolist() == [IGNORE_INDEX]
    assert batch["tags"].shape == (2, 2)
    assert not any(batch[task.labelled_field].any() for task in (mask, *TASKS.values()))


def test_integers_of_a_target_stay_signed() -> None:
    mask = Task("mask", "segmentation", 3)
    batch = collate([sample(mask=torch.ones(4, 6, dtype=torch.uint8)), sample()], {"mask": mask})
    assert batch["mask"].dtype == torch.int64
    assert batch["mask"][1].unique().tolist() == [IGNORE_INDEX]


def test_a_target_of_another_shape_is_refused_with_both() -> None:
    with pytest.raises(ValueError, match=r"shape \[3\] in one sample; expected \[2\]. A sample holds one 0/1"):
        collate([sample(tags=torch.zeros(3))], {"tags": TAGS})


def test_the_batch_says_on_the_host_which_tasks_have_a_label() -> None:
    batch = collate([sample(scene=1), sample(2)], TASKS)
    assert batch[LABELLED] == ("boxes", "scene")
    assert labelled_tasks(batch, TASKS) == [True, True, False, False]
    del batch[LABELLED]  # of another collate function
    assert labelled_tasks(batch, TASKS) == [True, True, False, False]


def test_tokens_are_padded_with_a_mask_and_tags_are_as_long() -> None:
    inputs = {"tokens": InputSpec("tokens", "tokens", 9)}
    slots = Task("slots", "tags", 4)
    samples = [{"tokens": [2, 3, 8], "slots": torch.tensor([0, 1, 3])}, {"tokens": torch.tensor([4])}]
    batch = collate(samples, {"slots": slots}, inputs)
    assert batch["tokens"].tolist() == [[2, 3, 8, 0, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0, 0, 0]]
    assert batch["tokens_mask"].sum(1).tolist() == [3, 1]
    assert batch["slots"].tolist() == [[0, 1, 3] + [IGNORE_INDEX] * 5, [IGNORE_INDEX] * 8]
    with pytest.raises(ValueError, match="vocabulary of 9; found indices 0 to 9"):
        collate([{"tokens": [9]}], {}, inputs)


def test_rows_of_a_table_are_stacked_and_a_missing_input_is_refused() -> None:
    inputs = {"row": InputSpec("row", "table", 2)}
    assert collate([{"row": [1, torch.nan]}, {"row": [2.0, 3.0]}], {}, inputs)["row"].shape == (2, 2)
    with pytest.raises(ValueError, match="1 of 2 samples have no input 'row'"):
        collate([{"row": [1, 2]}, {}], {}, inputs)
    with pytest.raises(ValueError, match="declared with 2 columns"):
        collate([{"row": [1, 2, 3]}], {}, inputs)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_images_have_as_many_channels_as_declared(channels: int) -> None:
    inputs = {"image": InputSpec("image", "image", channels)}
    assert collate([{"image": torch.zeros(channels, 4, 6)}], {}, inputs)["image"].shape == (1, channels, 4, 6)
    with pytest.raises(ValueError, match=f"declared with {channels} channels; the images have 3"):
        collate([sample()], {}, inputs)


def test_everything_else_is_stacked_and_images_stay_uint8_plain_tensors() -> None:
    batch = collate([sample(1), sample(1)], {"boxes": BOXES})
    assert type(batch["image"]) is torch.Tensor
    assert type(batch["boxes"]) is torch.Tensor
    assert batch["image"].dtype == torch.uint8
    assert batch["image"].shape == (2, 3, 4, 6)
    assert batch["image_id"].tolist() == [5, 5]
    assert batch["orig_size"].tolist() == [[4, 6], [4, 6]]


def test_images_of_two_sizes_are_refused_with_both_sizes() -> None:
    other = sample(1) | {"image": torch.zeros(3, 8, 8, dtype=torch.uint8)}
    with pytest.raises(ValueError, match=r"\(3, 4, 6\), \(3, 8, 8\).*image_size"):
        collate([sample(1), other], {"boxes": BOXES})


def test_a_batch_that_does_not_say_is_labelled_throughout() -> None:
    assert labelled({"scene": torch.tensor([1, 2, 3])}, SCENE).tolist() == [True] * 3


def test_boxes_go_back_to_original_pixels_by_scale_and_offset() -> None:
    boxes = torch.tensor([[[1.0, 2.0, 3.0, 4.0]], [[1.0, 2.0, 3.0, 4.0]]])
    to_original = torch.tensor([[2.0, 3.0, 10.0, -1.0], [1.0, 1.0, 0.0, 0.0]])
    back = boxes_to_original(boxes, to_original)
    assert back[0, 0].tolist() == [1 * 2 + 10, 2 * 3 - 1, 3 * 2 + 10, 4 * 3 - 1]
    assert back[1, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"extra": 1}, {}, "entry 'extra' of a sample is missing in 1 of 2"),
        ({"extra": [1]}, {"extra": [1, 2]}, "entry 'extra' of a sample cannot be stacked"),
        ({"extra": "a"}, {"extra": "b"}, "entry 'extra' of a sample cannot be stacked"),
    ],
)
def test_an_entry_that_nobody_declared_and_that_cannot_be_stacked_is_named(
    first: dict[str, Any], second: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        collate([sample() | first, sample() | second], TASKS)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("box_labels", "needs the key 'box_labels', which task 'boxes' has"),
        ("image", "needs the key 'image', which input 'image' has"),
        ("image_mask", "needs the key 'image_mask', which input 'image' has"),
        ("image_id", "needs the key 'image_id', which every batch has"),
        ("orig_size", "every batch"),
        ("to_original", "every batch"),
        ("labelled", "every batch"),
        ("items", "ModuleDict uses that word"),
        ("training", "ModuleDict uses that word"),
    ],
)
def test_two_owners_of_one_key_are_refused(name: str, why: str) -> None:
    boxes = Task("boxes", "detection", class_names=("a",))
    with pytest.raises(ValueError, match=why):
        check_keys({"boxes": boxes, name: Task(name, "classification", 2)}, IMAGE)


def test_names_apart_are_fine() -> None:
    tasks = {name: Task(name, "classification", 2) for name in ("loss", "score", "present", "light_labels")}
    check_keys(tasks, IMAGE)
    assert {*tasks, "image"} <= set(collate([{"image": torch.zeros(3, 4, 4), **dict.fromkeys(tasks, 1)}], tasks))
