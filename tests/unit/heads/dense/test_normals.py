"""Losses of normals by hand."""

import math
from typing import Literal

import pytest
import torch

from mtl.features import FeatureSpec
from mtl.heads.dense.normals import NormalsHead
from mtl.task import Task

TASK = Task("normals", "normals")
SPEC = FeatureSpec({"p2": 8}, {"p2": 4})


@pytest.mark.parametrize(("error", "expected"), [("cosine", 1 - math.sqrt(0.5)), ("l1", 1.0)])
def test_half_a_right_angle(error: Literal["cosine", "l1"], expected: float) -> None:
    head = NormalsHead(TASK, SPEC, error=error)
    found = torch.tensor([2.0, 0.0, 2.0]).view(1, 3, 1, 1)  # of any length
    true = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    # absolute errors: root of a half, and one minus it
    assert head.loss({"logits": found}, {"normals": true}).item() == pytest.approx(expected)


def test_decoded_vectors_have_length_1() -> None:
    head = NormalsHead(TASK, SPEC)
    found = head.decode({"logits": 5 * torch.randn(2, 3, 4, 4)})["normals"]
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2, 16, 16))
