"""Depth losses against their formulas, written out in loops over pictures."""

import math

import pytest
import torch

from mtl.features import FeatureSpec
from mtl.heads.dense.depth import DepthHead, berhu, silog
from mtl.task import Task

TASK = Task("depth", "depth")
SPEC = FeatureSpec({"p2": 8}, {"p2": 4})
KNOWN = torch.ones(1, 1, 3, dtype=torch.bool)


def test_l1_is_a_mean_over_measured_pixels_in_metres() -> None:
    head = DepthHead(TASK, SPEC, target_mean=2.0, target_std=0.5)
    target = torch.tensor([[[1.0, 3.0], [torch.nan, 0.0]]])
    # predicted 2.5 everywhere
    assert head.loss({"logits": torch.ones(1, 1, 2, 2)}, {"depth": target}).item() == pytest.approx((1.5 + 0.5) / 2)


def test_berhu_is_linear_below_a_fifth_of_the_largest_error() -> None:
    error = torch.tensor([[[0.5, 1.0, 10.0]]])
    # c = 2: (100 + 4) / 4 above it
    assert berhu(error, KNOWN).flatten().tolist() == pytest.approx([0.5, 1.0, 26.0])


def test_berhu_takes_its_threshold_from_known_pixels_of_the_same_picture() -> None:
    known = torch.tensor([[[True, True, False]]])
    assert berhu(torch.tensor([[[0.1, 1.0, 99.0]]]), known)[0, 0, :2].tolist() == pytest.approx([0.1, 1.04 / 0.4])


def test_silog_by_hand_and_blind_to_scale_at_lambda_1() -> None:
    log = torch.tensor([[[0.1, 0.3, 0.2]]])
    expected = math.sqrt((0.01 + 0.09 + 0.04) / 3 - 0.85 * 0.2**2)
    assert silog(log, KNOWN, 0.85).item() == pytest.approx(expected, rel=1e-5)
    assert silog(torch.full((1, 1, 3), 0.7), KNOWN, 1.0).item() == pytest.approx(0, abs=1e-3)


def test_silog_predicts_distances_above_zero_and_its_loss_is_small_at_the_truth() -> None:
    head = DepthHead(TASK, SPEC, error="silog", target_mean=3.0)
    target = torch.tensor([[[1.5, 6.0], [3.0, torch.nan]]])
    outputs = {"logits": (target[:, None] / 3).log().nan_to_num()}
    assert head.loss(outputs, {"depth": target}).item() <= 1.1e-4
    assert (head.decode({"logits": torch.full((1, 1, 2, 2), -500.0)})["values"] > 0).all()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="target_mean=-1"):
        DepthHead(TASK, SPEC, error="silog", target_mean=-1)
