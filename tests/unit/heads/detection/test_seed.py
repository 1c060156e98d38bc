"""The seed, layer by layer, and its loss on numbers that fit on paper."""

import math

import pytest
import torch
from torch import nn

from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.features import FeatureSpec
from mtl.heads.detection.seed import FlattenClassificationHead, SeedBoxHead
from mtl.task import Task

SCENE, BOXES = Task("largest", "classification", 10), Task("boxes", "detection", 10)
TINY = FeatureSpec({"c3": 1}, {"c3": 8})


def test_backbone_has_the_seeds_layers_and_shapes() -> None:
    backbone, shapes, x = SeedCNN(), [], torch.randn(2, 3, 32, 32)
    layers = [layer for block in backbone.blocks for layer in block.children()]
    for layer in layers:
        x = layer(x)
        shapes.append((type(layer).__name__, tuple(x.shape[1:])))
    assert shapes == [
        ("Conv2d", (32, 32, 32)),
        ("ReLU", (32, 32, 32)),
        ("MaxPool2d", (32, 16, 16)),
        ("Conv2d", (64, 16, 16)),
        ("ReLU", (64, 16, 16)),
        ("MaxPool2d", (64, 8, 8)),
        ("Conv2d", (128, 8, 8)),
        ("ReLU", (128, 8, 8)),
        ("MaxPool2d", (128, 4, 4)),
    ]
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [(conv.kernel_size, conv.padding, conv.bias is not None) for conv in convs] == [((3, 3), (1, 1), True)] * 3
    assert backbone.spec == FeatureSpec({"c3": 128}, {"c3": 8})


def test_heads_have_the_seeds_layers_and_shapes() -> None:
    spec = SeedCNN().spec
    for head, outputs in ((FlattenClassificationHead(SCENE, spec), 10), (SeedBoxHead(BOXES, spec, num_boxes=5), 20)):
        assert [type(layer).__name__ for layer in head.layers] == ["Linear", "ReLU", "Dropout", "Linear"]
        first, _, dropout, last = head.layers
        assert isinstance(first, nn.Linear)
        assert isinstance(dropout, nn.Dropout)
        assert isinstance(last, nn.Linear)
        assert (first.in_features, first.out_features) == (128 * 4 * 4, 256)
        assert dropout.p == 0.5
        assert (last.in_features, last.out_features) == (256, outputs)


def test_the_map_is_flattened_as_it_is() -> None:
    head, features = FlattenClassificationHead(SCENE, SeedCNN().spec).eval(), torch.randn(2, 128, 4, 4)
    torch.testing.assert_close(head({"c3": features})["logits"], head.layers(features.reshape(2, 2048)))


def test_loss_on_given_numbers_is_the_seeds() -> None:
    # two images of 16 x 16 px, num_boxes=2: one box each, the second place is padded with zeros
    spec_head = SeedBoxHead(BOXES, TINY, num_boxes=2)
    outputs = {
        "boxes_unit": torch.tensor([[[0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]], [[0.0] * 4, [0.0] * 4]]),
        "size_px": torch.full((2, 4), 16.0),
    }
    boxes = torch.zeros(2, 8, 4)
    boxes[0, 0] = torch.tensor([4.0, 8.0, 12.0, 16.0])  # as shares: .25 .5 .75 1
    boxes[1, 0] = torch.tensor([0.0, 0.0, 8.0, 16.0])  # as shares: 0 0 .5 1
    labels = torch.full((2, 8), -1)
    labels[:, 0] = torch.tensor([3, 7])
    known = torch.ones(2, dtype=torch.bool)
    batch = {"boxes": boxes, "box_labels": labels, "labelled/boxes": known}
    squared = [0.25**2 + 0 + 0.25**2 + 0, 0.5**2 + 1.0]
    mse = sum(squared) / (2 * 8)
    assert spec_head.loss(outputs, batch).item() == pytest.approx(mse)
    assert mse == pytest.approx(0.0859375)

    logits = torch.zeros(2, 10)
    logits[0, 3] = math.log(11.0)  # 11 of 20
    batch |= {"largest": torch.tensor([3, 0]), "labelled/largest": known}
    entropy = FlattenClassificationHead(SCENE, TINY, grid=1).loss({"logits": logits}, batch).item()
    assert entropy == pytest.approx((math.log(20 / 11) + math.log(10)) / 2)
    assert 0.7 * entropy + 0.3 * spec_head.loss(outputs, batch).item() == pytest.approx(1.0409290, abs=1e-6)


def test_boxes_beyond_the_heads_number_are_left_out() -> None:
    head, features = SeedBoxHead(BOXES, TINY, num_boxes=1, grid=1).eval(), {"c3": torch.randn(1, 1, 2, 2)}
    one = {"boxes": torch.tensor([[[2.0, 2, 9, 9]]]), "box_labels": torch.tensor([[4]])}
    two = {"boxes": torch.tensor([[[2.0, 2, 9, 9], [0, 0, 5, 5]]]), "box_labels": torch.tensor([[4, 1]])}
    assert head.loss(head(features), one).item() == head.loss(head(features), two).item()


def test_boxes_come_back_in_pixels_with_score_one_and_tiny_ones_are_padding() -> None:
    outputs = {
        "boxes_unit": torch.tensor([[[0.25, 0.5, 0.75, 1.5], [0.1, 0.1, 0.1, 0.9], [0.9, 0.9, 0.1, 0.1]]]),
        "size_px": torch.tensor([[32.0, 16.0, 32.0, 16.0]]),
    }
    found = SeedBoxHead(BOXES, TINY, num_boxes=3).decode(outputs)
    assert found["boxes"][0, 0].tolist() == [8, 8, 24, 16]
    assert found["scores"].tolist() == [[1, 0, 0]]
    assert found["labels"].tolist() == [[0, -1, -1]]


def test_boxes_are_also_measured_as_if_there_was_one_class() -> None:
    metrics = SeedBoxHead(BOXES, TINY).metrics()
    truth = torch.tensor([[[2.0, 2, 12, 12]]])
    batch = {"boxes": truth, "box_labels": torch.tensor([[4]]), "labelled/boxes": torch.tensor([True])}
    metrics.update({"boxes": truth, "scores": torch.ones(1, 1), "labels": torch.zeros(1, 1).long()}, batch)
    values = metrics.compute()
    assert values["map_agnostic"].item() == pytest.approx(1.0)
    assert values["map50_agnostic"].item() == pytest.approx(1.0)
    assert values["map"].item() == 0.0
