"""Balanced cross-entropy by hand."""

import math

import pytest
import torch

from mtl.features import FeatureSpec
from mtl.heads.dense.edges import EdgesHead
from mtl.task import Task

TASK = Task("edges", "edges")
SPEC = FeatureSpec({"p2": 8}, {"p2": 4})
TARGET = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, torch.nan, torch.nan]]])
LOGIT = 2.0
EDGE, REST = math.log1p(math.exp(-LOGIT)), math.log1p(math.exp(LOGIT))


def test_an_edge_weighs_the_share_of_other_pixels_of_its_picture() -> None:
    head = EdgesHead(TASK, SPEC)
    expected = (5 / 6 * EDGE + 5 * 1 / 6 * REST) / 6
    assert head.loss({"logits": torch.full((1, 1, 2, 4), LOGIT)}, {"edges": TARGET}).item() == pytest.approx(expected)


def test_a_fixed_weight() -> None:
    head = EdgesHead(TASK, SPEC, edge_weight=0.95)
    expected = (0.95 * EDGE + 5 * 0.05 * REST) / 6
    assert head.loss({"logits": torch.full((1, 1, 2, 4), LOGIT)}, {"edges": TARGET}).item() == pytest.approx(expected)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="edge_weight=1"):
        EdgesHead(TASK, SPEC, edge_weight=1)
