"""Fixed weights, and the checks of user-given lists."""

import pytest
import torch

from mtl.balancing.fixed import Fixed


def test_it_is_the_weighted_sum_of_the_seed() -> None:
    assert Fixed([0.7, 0.3])(torch.tensor([2.0, 10.0])).item() == pytest.approx(0.7 * 2 + 0.3 * 10)


def test_the_weight_stays_with_its_task_when_another_is_missing() -> None:
    weights = Fixed([0.7, 0.2, 0.1]).weights(torch.ones(3), present=[False, True, True])
    torch.testing.assert_close(weights, torch.tensor([0.0, 0.2, 0.1]))


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -0.1], [1.0, float("nan")]])
def test_senseless_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 0, and at least one must be above 0"):
        Fixed(weights)


def test_a_wrong_number_of_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="weights has 2 entries for 3 tasks.*Give one entry per task"):
        Fixed([0.7, 0.3])(torch.ones(3))
