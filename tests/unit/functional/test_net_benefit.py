"""Net benefit by hand, at its ends, and beside the sum over samples that defines it."""

import pytest
import torch

from mtl.functional.net_benefit import net_benefit, net_benefit_of_all


def test_by_hand() -> None:
    # at .5: two true and one false positive of five, weighed 1; at .2: two true, two false, weighed 1/4
    scores, labels = torch.tensor([0.9, 0.6, 0.5, 0.3, 0.1]), torch.tensor([1, 0, 1, 0, 0])
    found = net_benefit(scores, labels, torch.tensor([0.5, 0.2], dtype=torch.float64))
    assert found.tolist() == pytest.approx([(2 - 1) / 5, (2 - 2 / 4) / 5])


def test_acting_on_all_gains_the_share_of_cases_at_0_and_nothing_at_that_share() -> None:
    labels = torch.tensor([1, 0, 0, 0])
    found = net_benefit_of_all(labels, torch.tensor([0.0, 0.25], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0.25, 0.0])


def test_equals_the_sum_over_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.rand(60, generator=generator), torch.rand(60, generator=generator) < 0.3
    thresholds = torch.tensor([0.05, 0.3, 0.8], dtype=torch.float64)
    for threshold, found in zip(thresholds.tolist(), net_benefit(scores, labels, thresholds).tolist(), strict=True):
        gains = [
            0.0 if score < threshold else 1.0 if label else -threshold / (1 - threshold)
            for score, label in zip(scores.tolist(), labels.tolist(), strict=True)
        ]
        assert found == pytest.approx(sum(gains) / len(gains))


def test_a_threshold_of_1_is_refused() -> None:
    with pytest.raises(ValueError, match="below 1"):
        net_benefit(torch.ones(1), torch.ones(1), torch.ones(1))
