"""DB-MTL."""

import pytest
import torch

from mtl.balancing.db_mtl import DBMTL

ROWS = torch.tensor([[2.0, 0.0], [0.0, 30.0]], dtype=torch.float64)
LOSSES = torch.tensor([2.0, 5.0], dtype=torch.float64)


def test_without_average_all_tasks_have_the_largest_norm_of_the_logarithms() -> None:
    # gradients of the logarithms: (1, 0) and (0, 6)
    update = DBMTL(beta=0.0)(ROWS, LOSSES)
    torch.testing.assert_close(update, torch.tensor([6.0, 6.0], dtype=torch.float64), rtol=1e-6, atol=0)


def test_the_average_starts_at_zero_unless_it_is_corrected() -> None:
    method, corrected = DBMTL(), DBMTL(correct_bias=True)
    torch.testing.assert_close(method(ROWS, LOSSES)[0].item(), 0.6, rtol=1e-6, atol=0)
    for _ in range(3):
        update = corrected(ROWS, LOSSES)
    torch.testing.assert_close(update, torch.tensor([6.0, 6.0], dtype=torch.float64), rtol=1e-5, atol=0)


def test_the_unit_of_a_loss_does_not_matter() -> None:
    scale = torch.tensor([100.0, 0.01], dtype=torch.float64)
    scaled = DBMTL()(scale[:, None] * ROWS, scale * LOSSES)
    torch.testing.assert_close(scaled, DBMTL()(ROWS, LOSSES), rtol=1e-5, atol=0)


def test_a_task_without_gradient_adds_nothing() -> None:
    rows = ROWS.clone()
    rows[0] = 0
    update = DBMTL(beta=0.0)(rows, LOSSES)
    torch.testing.assert_close(update, torch.tensor([0.0, 6.0], dtype=torch.float64), rtol=1e-6, atol=0)


def test_the_heads_follow_the_logarithm_too() -> None:
    torch.testing.assert_close(DBMTL().head_weights(LOSSES), 1 / LOSSES, rtol=1e-6, atol=0)


def test_a_beta_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="beta=1 must be at least 0 and below 1"):
        DBMTL(beta=1)
