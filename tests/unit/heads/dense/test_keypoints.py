"""Heat maps: their target, the loss by hand, and the place that is read from a peak."""

import math

import pytest
import torch

from mtl.features import FeatureSpec
from mtl.heads.dense.keypoints import KeypointsHead, gaussian_targets
from mtl.task import Task

TASK = Task("points", "keypoints", class_names=("nose", "tail"))
SPEC = FeatureSpec({"p2": 8}, {"p2": 4})


def test_the_target_is_a_gaussian_that_sums_to_one() -> None:
    target = gaussian_targets(torch.tensor([[[2.5, 1.5], [0.0, 0.0]]]), 4, 6, 1.0)
    assert target.shape == (1, 2, 4, 6)
    torch.testing.assert_close(target.sum((2, 3)), torch.ones(1, 2))
    assert divmod(int(target[0, 0].argmax()), 6) == (1, 2)
    assert target[0, 0, 1, 3] / target[0, 0, 1, 2] == pytest.approx(math.exp(-0.5))
    assert target[0, 0, 2, 3] / target[0, 0, 1, 2] == pytest.approx(math.exp(-1))


def test_the_loss_is_the_mean_cross_entropy_of_the_known_points() -> None:
    head = KeypointsHead(TASK, SPEC, width=8)
    logits = torch.randn(2, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[[10.0, 6.0], [torch.nan, torch.nan]], [[3.0, 15.0], [24.0, 2.0]]])  # the last one: outside
    batch = {"points": points, "labelled/points": torch.tensor([True, True])}
    by_hand = []
    for row, point in ((0, 0), (1, 0)):
        share = logits[row, point].flatten().softmax(0).view(4, 6)
        x, y = (points[row, point] / 4).tolist()
        weight = torch.tensor(
            [[math.exp(-((c + 0.5 - x) ** 2 + (r + 0.5 - y) ** 2) / 2) for c in range(6)] for r in range(4)]
        )
        by_hand.append(-(weight / weight.sum() * share.log()).sum())
    torch.testing.assert_close(head.loss({"logits": logits}, batch), torch.stack(by_hand).mean())


def test_a_map_that_is_the_target_gives_the_point_back() -> None:
    head = KeypointsHead(TASK, SPEC, width=8, sigma_cells=0.8)
    points = torch.tensor([[[10.0, 6.0], [17.3, 9.1]]])
    logits = gaussian_targets(points / 4, 8, 8, 0.8).log()
    found = head.decode({"logits": logits})
    # the centroid of 3 x 3 cells leaves out the tails of the Gaussian
    torch.testing.assert_close(found["points"], points, atol=0.5, rtol=0)
    assert ((found["scores"] > 0.8) & (found["scores"] <= 1)).all()
    sharp = torch.full((1, 2, 8, 8), -50.0)
    sharp[:, :, 3, 5] = 50.0
    torch.testing.assert_close(head.decode({"logits": sharp})["points"], torch.tensor([[[22.0, 14.0]] * 2]))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="head 'points': sigma_cells=0"):
        KeypointsHead(TASK, SPEC, sigma_cells=0)
