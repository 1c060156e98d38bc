"""Set detection: the loss against an independent slow one, slots and matching."""

import itertools

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from mtl.features import FeatureSpec
from mtl.heads.detection.set_detection import SetDetectionHead
from mtl.task import Task

TASK, SPEC = Task("boxes", "detection", 3), FeatureSpec({"p3": 8}, {"p3": 8})


def head_of(num_boxes: int = 4, **options: object) -> SetDetectionHead:
    return SetDetectionHead(TASK, SPEC, num_boxes=num_boxes, width=16, num_heads=2, **options)  # type: ignore[arg-type]


def focal(logit: Tensor, target: float) -> Tensor:
    p = logit.sigmoid()
    return -0.25 * (1 - p) ** 2 * p.log() if target else -0.75 * p**2 * (1 - p).log()


def slow_loss(logits: Tensor, boxes: Tensor, truth_px: Tensor, labels: Tensor, size: float) -> Tensor:
    """Sum of one image and one stage, over the best of all assignments."""
    truth = truth_px / size
    truth_c = box_convert(truth, "xyxy", "cxcywh")
    giou = generalized_box_iou(box_convert(boxes, "cxcywh", "xyxy"), truth)

    def box_terms(slot: int, index: int) -> Tensor:
        return 5 * (boxes[slot] - truth_c[index]).abs().sum() + 2 * (1 - giou[slot, index])

    def cost(slots: tuple[int, ...]) -> Tensor:
        pairs = enumerate(slots)
        return sum(
            (2 * (focal(logits[s, labels[i]], 1) - focal(logits[s, labels[i]], 0)) + box_terms(s, i) for i, s in pairs),
            torch.zeros(()),
        )

    best = min(itertools.permutations(range(len(boxes)), len(truth)), key=lambda slots: float(cost(slots)))
    total = torch.zeros(())
    for slot in range(len(boxes)):
        for index in range(3):
            target = slot in best and int(labels[best.index(slot)]) == index
            total = total + 2 * focal(logits[slot, index], float(target))
    return total + sum((box_terms(s, i) for i, s in enumerate(best)), torch.zeros(()))


def test_loss_is_that_of_the_best_of_all_assignments() -> None:
    head = head_of(num_stages=2)
    outputs = head({"p3": torch.randn(2, 8, 4, 4)})
    outputs["boxes_cxcywh_unit"] = torch.rand(2, 2, 4, 4) * 0.5 + 0.2
    outputs["logits"] = torch.randn(2, 2, 4, 3)
    boxes = torch.tensor(
        [[[2.0, 3, 12, 20], [10, 10, 30, 28], [0, 0, 0, 0]], [[1, 1, 9, 9], [4, 6, 20, 21], [5, 2, 31, 9]]]
    )
    labels = torch.tensor([[0, 2, -1], [1, 1, 0]])
    loss = head.loss(outputs, {"boxes": boxes, "box_labels": labels})
    expected = torch.zeros(())
    for image, stage in itertools.product(range(2), range(2)):
        real = labels[image] >= 0
        expected = expected + slow_loss(
            outputs["logits"][image, stage],
            outputs["boxes_cxcywh_unit"][image, stage],
            boxes[image][real],
            labels[image][real],
            32.0,
        )
    torch.testing.assert_close(loss, expected / (5 * 2), rtol=1e-5, atol=1e-5)


def test_more_objects_than_slots_still_train() -> None:
    head = head_of(num_boxes=2)
    boxes = torch.tensor([[[2.0, 3, 12, 20], [10, 10, 30, 28], [0, 4, 9, 9]]])
    loss = head.loss(head({"p3": torch.randn(1, 8, 4, 4)}), {"boxes": boxes, "box_labels": torch.tensor([[0, 1, 2]])})
    loss.backward()
    assert loss.isfinite()


def test_slots_start_where_their_references_are() -> None:
    head = head_of()
    first = head({"p3": torch.randn(1, 8, 4, 4)})["boxes_cxcywh_unit"][0]
    torch.testing.assert_close(first[-1], head.references.sigmoid(), rtol=1e-4, atol=1e-4)


def test_every_stage_refines_the_box_of_the_one_before() -> None:
    head = head_of(num_stages=2)
    for stage in head.stages:
        stage.box[-1].bias.data = torch.tensor([0.5, 0.0, 0.0, 0.0])
    boxes = head({"p3": torch.randn(1, 8, 4, 4)})["boxes_cxcywh_unit"][0]
    steps = torch.logit(boxes[1, :, 0]) - torch.logit(boxes[0, :, 0])
    torch.testing.assert_close(steps, torch.full((4,), 0.5), rtol=1e-3, atol=1e-3)


def test_works_on_maps_of_any_size() -> None:
    head = head_of().eval()
    found = head.decode(head({"p3": torch.randn(1, 8, 3, 7)}))
    assert found["boxes"].shape == (1, 4, 4)
    assert (found["boxes"] <= torch.tensor([56.0, 24, 56, 24])).all()


def test_width_that_does_not_split_over_the_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="make it a multiple"):
        SetDetectionHead(TASK, SPEC, width=30, num_heads=4)
