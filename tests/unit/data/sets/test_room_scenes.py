"""RoomScenes: targets agree with each other, shares of labels are nested, wrong settings are refused."""

from typing import Any

import pytest
import torch

from mtl.batch import collate
from mtl.data.augment.augment import Augment
from mtl.data.sets.room_scenes import TASKS, RoomScenes, visible_boxes

SMALL: dict[str, Any] = {"num_train": 20, "num_val": 4, "num_test": 4, "image_size": 32}


def rooms(**options: Any) -> RoomScenes:
    data = RoomScenes(**{**SMALL, "room_tasks": list(TASKS), **options})
    data.setup("fit")
    return data


def test_targets_of_a_scene_agree_with_each_other() -> None:
    data = rooms()
    for index in range(20):
        sample = data.train_set[index]
        assert set(TASKS) <= set(sample)
        assert len(sample["boxes"]) == len(sample["box_labels"]) == sample["count"]
        classes = sample["segmentation"]
        for box, label in zip(sample["boxes"].int().tolist(), sample["box_labels"].tolist(), strict=True):
            # the box is tight around pixels of its class
            inside = classes[box[1] : box[3], box[0] : box[2]] == 3 + label
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
        assert (sample["depth"] > 0).all()
        torch.testing.assert_close(sample["normals"].norm(dim=0), torch.ones(32, 32), rtol=0, atol=2e-3)
        # where the class changes to the right there is an edge
        changes = classes[:, :-1] != classes[:, 1:]
        assert (sample["edges"][:, :-1][changes] == 1).all()


def test_boxes_by_hand() -> None:
    instances = torch.zeros(1, 6, 8, dtype=torch.uint8)
    instances[0, 1:4, 2:7] = 1
    instances[0, 5, 5] = 2
    boxes, visible = visible_boxes(instances, 3, min_visible_px=2)
    assert boxes[0, 0].tolist() == [2, 1, 7, 4]
    assert visible.tolist() == [[True, False, False]]


def test_splits_and_seeds_differ_and_the_same_seed_repeats() -> None:
    first, again, other = rooms(), rooms(), rooms(seed=1)
    assert torch.equal(first.train_set[3]["image"], again.train_set[3]["image"])
    assert not torch.equal(first.train_set[3]["image"], other.train_set[3]["image"])
    assert not torch.equal(first.train_set[3]["image"], first.val_set[3]["image"])


def test_a_share_of_labels_is_part_of_a_larger_share() -> None:
    known = {}
    for share in (0.1, 0.5):
        data = rooms(labelled={"depth": share})
        known[share] = {index for index in range(20) if "depth" in data.train_set[index]}
        assert len(known[share]) == round(20 * share)
        assert all("depth" in data.val_set[index] for index in range(4))
        assert all("segmentation" in data.train_set[index] for index in range(20))
    assert known[0.1] < known[0.5]


def test_a_batch_has_every_target() -> None:
    data = rooms(batch_size=5, augment=Augment(0.5, zoom=(0.7, 1.4), mosaic=0.2))
    batch = next(iter(data.train_dataloader()))
    assert batch["depth"].shape == batch["edges"].shape == batch["segmentation"].shape == (5, 32, 32)
    assert batch["normals"].shape == (5, 3, 32, 32)


def test_room_kinds_all_occur() -> None:
    data = rooms(num_train=60)
    batch = collate([data.train_set[index] for index in range(60)], data.tasks)
    assert set(batch["room"].tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labelled": {"depht": 0.5}}, "no task 'depht'.*Did you mean 'depth'"),
        ({"labelled": {"depth": 1.5}}, "depth=1.5 is a share"),
        ({"num_train": 0}, "must be at least 1"),
        ({"image_size": 8}, "image_size=8 must be at least 16"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RoomScenes(**{**SMALL, **options})
