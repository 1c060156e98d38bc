"""FCOS: loss against torchvision's, targets by hand, padded predictions."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.fcos import FCOS
from torchvision.ops import batched_nms

from mtl.batch import Batch
from mtl.features import FeatureSpec
from mtl.heads.detection.fcos import FCOSHead
from mtl.task import Task

TASK = Task("boxes", "detection", 3)
SPEC = FeatureSpec({"p3": 16, "p4": 16}, {"p3": 8, "p4": 16})


class Stub(torch.nn.Module):
    out_channels = 32


def batch_of(boxes: list[list[list[float]]], labels: list[list[int]]) -> Batch:
    most = max(len(row) for row in labels)
    padded = torch.zeros(len(boxes), most, 4)
    classes = torch.full((len(boxes), most), -1)
    for row, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        padded[row, : len(box)] = torch.tensor(box).reshape(-1, 4)
        classes[row, : len(label)] = torch.tensor(label, dtype=torch.long)
    return {"boxes": padded, "box_labels": classes, "labelled/boxes": torch.ones(len(boxes), dtype=torch.bool)}


def outputs_for(head: FCOSHead, images: int, size: int = 128) -> dict[str, Tensor]:
    features = {
        level: torch.randn(images, 16, size // stride, size // stride) for level, stride in SPEC.strides.items()
    }
    return head(features)


def torchvision_losses(outputs: dict[str, Tensor], batch: Batch, cells_per_level: list[int]) -> dict[str, Tensor]:
    """The same loss by torchvision, handed our cells as anchors and our boxes as its sides."""
    fcos = FCOS(Stub(), num_classes=3)
    cells = outputs["cells"][0]
    half = cells[:, 2:] / 2
    anchors = torch.cat((cells[:, :2] - half, cells[:, :2] + half), 1)
    low, high = outputs["boxes"][..., :2], outputs["boxes"][..., 2:]
    sides = torch.cat((cells[:, :2] - low, high - cells[:, :2]), -1) / cells[:, 2:]
    targets = [
        {"boxes": box[label >= 0], "labels": label[label >= 0]}
        for box, label in zip(batch["boxes"], batch["box_labels"], strict=True)
    ]
    heads = {
        "cls_logits": outputs["logits"],
        "bbox_regression": sides,
        "bbox_ctrness": outputs["centerness"][..., None],
    }
    return fcos.compute_loss(targets, heads, [anchors] * len(targets), cells_per_level)


def random_scene(images: int, size: int) -> Batch:
    boxes, labels = [], []
    for _ in range(images):
        count = int(torch.randint(0, 6, ()))
        corner = torch.rand(count, 2) * size * 0.6
        boxes.append(torch.cat((corner, corner + 6 + torch.rand(count, 2) * size * 0.8), 1).clamp(max=size).tolist())
        labels.append(torch.randint(0, 3, (count,)).tolist())
    return batch_of(boxes, labels)


@pytest.mark.parametrize("seed", range(5))
def test_loss_and_gradient_equal_torchvisions_on_the_same_cells(seed: int) -> None:
    torch.manual_seed(seed)
    head, batch = FCOSHead(TASK, SPEC), random_scene(4, 128)
    outputs = outputs_for(head, 4)
    expected = torch.stack(list(torchvision_losses(outputs, batch, [256, 64]).values())).sum()
    loss = head.loss(outputs, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    parameters = list(head.parameters())
    ours = torch.autograd.grad(loss, parameters, retain_graph=True)
    for found, wanted in zip(ours, torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


def test_a_new_head_finds_objects_with_a_probability_of_one_percent() -> None:
    probability = outputs_for(FCOSHead(TASK, SPEC), 2)["logits"].sigmoid()
    assert probability.mean().item() == pytest.approx(0.01, rel=0.3)


def test_several_levels_use_group_norm_and_one_level_batch_norm() -> None:
    def norms(levels: list[str]) -> set[str]:
        return {type(module).__name__ for module in FCOSHead(TASK, SPEC, levels=levels).modules()}

    assert "GroupNorm" in norms(["p3", "p4"])
    assert "BatchNorm2d" in norms(["p3"])


def test_levels_of_different_width_are_refused() -> None:
    spec = FeatureSpec({"p3": 16, "p4": 8}, {"p3": 8, "p4": 16})
    with pytest.raises(ValueError, match="equal width"):
        FCOSHead(TASK, spec, levels=["p3", "p4"])


def known_outputs(scores: Tensor, boxes: Tensor) -> dict[str, Tensor]:
    """One level of 4 x 4 cells of stride 8 whose scores and boxes are given."""
    images, cells = scores.shape[:2]
    x = (torch.arange(4) + 0.5) * 8
    grid = torch.stack((x.repeat(4), x.repeat_interleave(4), torch.full((16,), 8.0)), 1)
    return {
        "logits": torch.logit(scores.square()),
        "boxes": boxes,
        "centerness": torch.full((images, cells), 50.0),  # a centre-ness of 1
        "cells": grid.expand(images, -1, -1),
    }


def test_suppression_is_torchvisions_for_every_image_and_class() -> None:
    head = FCOSHead(TASK, SPEC, levels=["p3"], num_candidates=16, score_threshold=0.1)
    scores = torch.rand(3, 16, 3) * 0.9
    corner = torch.rand(3, 16, 2) * 10
    boxes = torch.cat((corner, corner + 12), -1)
    found = head.decode(known_outputs(scores, boxes))
    for image in range(3):
        # the 16 best pairs of cell and class go in
        best, index = scores[image].flatten().topk(16)
        box, label = boxes[image][index // 3], index % 3
        keep = [i for i in batched_nms(box, best, label, 0.6).tolist() if best[i] >= 0.1]
        kept = found["labels"][image] >= 0
        torch.testing.assert_close(found["scores"][image][kept], best[keep], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found["boxes"][image][kept], box[keep])
        assert found["labels"][image][kept].tolist() == label[keep].tolist()
        assert (found["scores"][image][~kept] == 0).all()
        assert (found["boxes"][image][~kept] == 0).all()


def test_suppression_does_not_depend_on_the_other_images() -> None:
    """Small boxes in large images, many of them near the threshold, and many images and classes: 1280 groups."""
    torch.manual_seed(0)
    images, objects, copies, classes = 16, 40, 10, 80
    head = FCOSHead(Task("boxes", "detection", classes), SPEC, ["p3"])
    centers = (torch.rand(images, objects, 2) * 600 + 20).repeat_interleave(copies, 1)
    sizes = (torch.rand(images, objects, 2) * 8 + 6).repeat_interleave(copies, 1)
    centers, sizes = centers + 4 * torch.rand_like(centers), sizes + torch.rand_like(sizes)
    labels = torch.randint(classes - 10, classes, (images, objects)).repeat_interleave(copies, 1)
    logits = torch.full((images, objects * copies, classes), -9.0)
    outputs = {
        "logits": logits.scatter(2, labels[..., None], 4 * torch.rand_like(centers[..., :1])),
        "boxes": torch.cat((centers - sizes / 2, centers + sizes / 2), -1),
        "centerness": torch.full(labels.shape, 3.0),
        "cells": torch.tensor([[636.0, 636.0, 8.0]]).expand(images, objects * copies, 3),
    }
    together = head.decode(outputs)
    for image in range(images):
        alone = head.decode({name: value[image : image + 1] for name, value in outputs.items()})
        for name, value in alone.items():
            assert torch.equal(value[0], together[name][image]), f"{name} of image {image}"


def test_an_image_without_good_candidates_is_all_padding() -> None:
    head = FCOSHead(TASK, SPEC, levels=["p3"], score_threshold=0.5, max_detections=7)
    found = head.decode(known_outputs(torch.full((2, 16, 3), 0.1), torch.rand(2, 16, 4)))
    assert found["boxes"].shape == (2, 7, 4)
    assert (found["labels"] == -1).all()


def test_score_is_the_geometric_mean_of_class_and_centerness() -> None:
    head = FCOSHead(TASK, SPEC, levels=["p3"], max_detections=1)
    outputs = known_outputs(torch.full((1, 16, 3), 0.1), torch.tensor([0.0, 0, 8, 8]).expand(1, 16, 4))
    outputs["logits"][0, 5, 2] = math.log(0.64 / 0.36)
    outputs["centerness"][0, 5] = math.log(0.25 / 0.75)
    found = head.decode(outputs)
    assert found["scores"].item() == pytest.approx(0.4)  # sqrt(0.64 * 0.25)
    assert found["labels"].item() == 2


# torchvision's own registration of nms asks torch for a shape by an old name
@pytest.mark.filterwarnings("ignore:`create_unbacked_symint` is deprecated:FutureWarning")
def test_can_be_exported_with_decode_inside_and_finds_the_same() -> None:
    class Whole(torch.nn.Module):
        def __init__(self, head: FCOSHead) -> None:
            super().__init__()
            self.head = head

        def forward(self, p3: Tensor, p4: Tensor) -> dict[str, Tensor]:
            return self.head.decode(self.head({"p3": p3, "p4": p4}))

    whole = Whole(FCOSHead(TASK, SPEC, num_candidates=50).eval())
    maps = (torch.randn(2, 16, 8, 8), torch.randn(2, 16, 4, 4))
    exported = torch.export.export(whole, maps).module()(*maps)
    found = whole(*maps)
    torch.testing.assert_close(exported["scores"], found["scores"])
