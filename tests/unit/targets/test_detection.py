"""Ignored boxes: a negative class index, left out of training, of counts and of lost boxes, and last in a batch."""

import torch

from mtl.targets.detection import Detection, box_mask, ignored
from mtl.task import Task

TASK = Task("boxes", "detection", class_names=("cat", "dog"))


def sample() -> dict[str, torch.Tensor]:
    boxes = torch.tensor([[0.0, 0, 9, 9], [10, 10, 30, 30], [40, 40, 60, 60]])
    return {"boxes": boxes, "box_labels": torch.tensor([ignored(1), 1, 0])}


def test_ignored_is_its_own_inverse_and_never_a_class_or_padding() -> None:
    labels = torch.arange(5)
    assert torch.equal(ignored(ignored(labels)), labels)
    assert bool((ignored(labels) < -1).all())


def test_a_batch_has_ignored_boxes_last_and_masks_them() -> None:
    batch = Detection(TASK).collate([sample(), {}], [True, False], {})
    assert batch["box_labels"][0, :4].tolist() == [1, 0, -3, -1]
    assert batch["boxes"][0, :3].tolist() == [[10, 10, 30, 30], [40, 40, 60, 60], [0, 0, 9, 9]]
    assert box_mask(batch, TASK)[0, :4].tolist() == [True, True, False, False]
    assert Detection(TASK).num_objects(sample()) == 2


def test_a_crop_that_loses_only_an_ignored_box_loses_no_object() -> None:
    target, before = Detection(TASK), sample()
    after = sample()
    after["boxes"][0] = 0  # cut away
    assert not target.after_crop(before, after, 1.0, 0.3)
    assert after["box_labels"].tolist() == [1, 0]
    after = sample()
    after["boxes"][1] = 0
    assert target.after_crop(before, after, 1.0, 0.3)
