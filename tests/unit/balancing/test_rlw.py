"""Random loss weighting."""

import pytest
import torch

from mtl.balancing.rlw import RLW


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_weights_change_at_every_step_and_sum_to_one(distribution: str) -> None:
    method = RLW(distribution)  # type: ignore[arg-type]
    weights = torch.stack([method.weights(torch.ones(4)) for _ in range(200)])
    torch.testing.assert_close(weights.sum(1), torch.ones(200))
    torch.testing.assert_close(weights.mean(0), torch.full((4,), 0.25), atol=0.04, rtol=0)
    assert len(weights[:, 0].unique()) == 200


def test_they_may_sum_to_the_number_of_tasks() -> None:
    assert RLW(sum_to="tasks").weights(torch.ones(5)).sum().item() == pytest.approx(5)


def test_every_rank_draws_the_same_whatever_else_was_drawn() -> None:
    one, other = RLW(seed=4), RLW(seed=4)
    first = one.weights(torch.ones(3))
    torch.rand(10)
    torch.testing.assert_close(other.weights(torch.ones(3)), first, rtol=0, atol=0)
    assert not torch.equal(RLW(seed=5).weights(torch.ones(3)), first)


def test_a_missing_task_does_not_change_the_draw_of_the_others() -> None:
    every, some = RLW(), RLW()
    weights = every.weights(torch.ones(3))
    left = some.weights(torch.ones(3), present=[True, False, True])
    torch.testing.assert_close(left[0] / left[2], weights[0] / weights[2])
