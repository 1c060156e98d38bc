"""Segmentation losses against torch's own, hand computations and loops over pictures."""

import pytest
import torch
import torch.nn.functional as F

from mtl.features import FeatureSpec
from mtl.heads.dense.segmentation import SegmentationHead, dice_loss, hardest
from mtl.task import Task

TASK = Task("mask", "segmentation", num_classes=3)
SPEC = FeatureSpec({"p2": 8}, {"p2": 4})


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(2, 3, 8, 8, generator=generator), torch.randint(3, (2, 8, 8), generator=generator)
    target[0, :3] = -100
    return logits, target


@pytest.mark.parametrize("weights", [None, [1.0, 0.2, 5.0]])
def test_cross_entropy_is_that_of_torch(weights: list[float] | None) -> None:
    logits, target = data()
    head = SegmentationHead(TASK, SPEC, class_weights=weights)
    expected = F.cross_entropy(logits, target, None if weights is None else torch.tensor(weights))
    torch.testing.assert_close(head.loss({"logits": logits}, {"mask": target}), expected)


def test_hard_share_takes_the_largest_losses_of_each_picture() -> None:
    logits, target = data()
    head = SegmentationHead(TASK, SPEC, hard_share=0.25)
    losses = F.cross_entropy(logits, target.clamp(min=0), reduction="none")
    known = [losses[row][target[row] >= 0].sort(descending=True).values for row in range(2)]
    assert [len(values) for values in known] == [40, 64]
    expected = (known[0][:10].mean() + known[1][:16].mean()) / 2
    torch.testing.assert_close(head.loss({"logits": logits}, {"mask": target}), expected)


def test_hardest_of_a_picture_without_known_pixels_is_zero() -> None:
    assert hardest(torch.ones(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool), 0.5).tolist() == [0.0]


def test_dice_by_hand() -> None:
    # sure of class 0 everywhere: class 0 has Dice 2*2/(4+2), class 1 none of it, class 2 does not occur
    logits = torch.zeros(1, 3, 2, 2)
    logits[:, 0] = 50
    target = torch.tensor([[[0, 0], [1, 1]]])
    known = torch.ones(1, 2, 2, dtype=torch.bool)
    assert dice_loss(logits, target, known).item() == pytest.approx(1 - (2 * 2 / 6 + 0) / 2)


def test_perfect_maps_have_no_dice_loss() -> None:
    _, target = data()
    logits = 50 * F.one_hot(target.clamp(min=0), 3).movedim(-1, 1).float()
    assert dice_loss(logits, target.clamp(min=0), target >= 0).abs().max() < 1e-6


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="hard_share=0"):
        SegmentationHead(TASK, SPEC, hard_share=0)
    with pytest.raises(ValueError, match="2 class_weights for 3 classes"):
        SegmentationHead(TASK, SPEC, class_weights=[1.0, 2.0])
