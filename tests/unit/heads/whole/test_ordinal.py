"""Thresholds stay in order and the loss is the sum of binary ones; the label is the median class."""

import torch
import torch.nn.functional as F

from mtl.features import FeatureSpec
from mtl.heads.whole.ordinal import OrdinalHead
from mtl.task import Task


def head(classes: int = 4) -> OrdinalHead:
    torch.manual_seed(0)
    return OrdinalHead(Task("t", "classification", classes), FeatureSpec({"h": 5}, layouts={"h": "vector"}))


def test_probabilities_are_a_distribution_whatever_the_parameters() -> None:
    made = head()
    with torch.no_grad():
        made.gaps.copy_(torch.tensor([-30.0, 2.0]))
    found = made.decode(made({"h": 10 * torch.randn(50, 5)}))
    assert (found["probabilities"] >= 0).all()
    torch.testing.assert_close(found["probabilities"].sum(1), torch.ones(50))
    # the median: half of the probability is not above it
    cumulated = found["probabilities"].cumsum(1)
    assert (cumulated.gather(1, found["labels"][:, None]) >= 0.5 - 1e-6).all()


def test_loss_by_hand() -> None:
    outputs = {"above": torch.tensor([[0.3, -0.2, -1.0]])}
    expected = sum(
        F.binary_cross_entropy_with_logits(torch.tensor(x), torch.tensor(y))
        for x, y in ((0.3, 1.0), (-0.2, 1.0), (-1.0, 0.0))
    )
    torch.testing.assert_close(head().loss(outputs, {"t": torch.tensor([2])}), expected)


def test_two_classes_are_a_logistic_regression() -> None:
    made = head(2)
    outputs = made({"h": torch.randn(6, 5)})
    target = torch.tensor([0, 1, 1, 0, 1, 0])
    expected = F.binary_cross_entropy_with_logits(outputs["above"][:, 0], target.float())
    torch.testing.assert_close(made.loss(outputs, {"t": target}), expected)
