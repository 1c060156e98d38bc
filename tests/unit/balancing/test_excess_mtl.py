"""ExcessMTL."""

import pytest
import torch

from mtl.balancing.excess_mtl import ExcessMTL

ROWS = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)


def test_first_call_moves_by_the_raw_excess() -> None:
    # e = g^2 / |g| = 1 and 2
    expected = torch.softmax(torch.tensor([1.0, 2.0], dtype=torch.float64), 0) * torch.tensor([1.0, 2.0])
    torch.testing.assert_close(ExcessMTL(step_size=1.0)(ROWS), expected, rtol=1e-6, atol=0)


def test_or_it_keeps_equal_weights_that_sum_to_the_tasks() -> None:
    method = ExcessMTL(step_size=1.0, first="skip", sum_to="tasks")
    torch.testing.assert_close(method(ROWS), ROWS.sum(0))
    # the same gradients again: both tasks have lost the same share, e = 1 / sqrt(2) of the first for each
    torch.testing.assert_close(method(ROWS), ROWS.sum(0), rtol=1e-6, atol=0)


def test_warm_up_calls_have_equal_weights_and_give_the_base() -> None:
    method = ExcessMTL(warmup_steps=2)
    for _ in range(2):
        torch.testing.assert_close(method(ROWS), ROWS.mean(0))
    assert method.calls_K.tolist() == [2, 2]
    torch.testing.assert_close(method.first_K, torch.tensor([1.0, 2.0]) * (1 + 2**-0.5), rtol=1e-5, atol=0)


def test_a_task_that_is_far_from_its_optimum_gains_weight() -> None:
    method = ExcessMTL(step_size=0.5, first="skip")
    for shrink in (1.0, 0.5, 0.25, 0.125):
        rows = ROWS.clone()
        rows[1] *= shrink  # the second task converges
        update = method(rows)
    assert update[0] / rows[0, 0] > 0.6


def test_huge_gradients_do_not_overflow() -> None:
    assert ExcessMTL(step_size=1.0)(1e15 * ROWS).isfinite().all()


def test_a_step_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="step_size=0 must be above 0"):
        ExcessMTL(step_size=0)


def test_its_weights_can_be_given_to_the_heads() -> None:
    method = ExcessMTL(step_size=1.0)
    assert method.head_gradients == "weighted"
    rows = torch.eye(3, dtype=torch.float64)
    update = method(rows, present=[True, False, True])
    assert method.task_weights is not None
    torch.testing.assert_close(method.task_weights @ rows, update)
    assert method.task_weights.tolist() == pytest.approx([0.5, 0, 0.5])
