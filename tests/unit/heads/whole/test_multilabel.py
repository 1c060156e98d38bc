"""Multi-label head: loss by hand, classes that are unknown one by one."""

import math

import pytest
import torch

from mtl.features import FeatureSpec
from mtl.heads.whole.multilabel import MultilabelHead
from mtl.task import Task

HEAD = MultilabelHead(Task("tags", "multilabel", 2), FeatureSpec({"c4": 4}, {"c4": 16}))


def test_loss_is_the_mean_over_known_entries() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 100.0]])
    target = torch.tensor([[1.0, 1.0], [0.0, torch.nan]])
    expected = (2 * math.log(2) + math.log(4 / 3)) / 3
    assert HEAD.loss({"logits": logits}, {"tags": target}).item() == pytest.approx(expected)


def test_an_unknown_class_gets_no_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    HEAD.loss({"logits": logits}, {"tags": torch.tensor([[1.0, torch.nan]])}).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-0.5, 0.0]]


def test_a_class_is_predicted_above_one_half() -> None:
    found = HEAD.decode({"logits": torch.tensor([[0.1, -0.1], [0.0, 3.0]])})
    assert found["labels"].tolist() == [[1, 0], [0, 1]]
    assert found["probabilities"][1, 0] == 0.5
