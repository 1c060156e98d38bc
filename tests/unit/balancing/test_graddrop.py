"""GradDrop."""

import pytest
import torch

from mtl.balancing.graddrop import GradDrop, graddrop

# coordinate 0 agrees, 1 is positive with probability 3/4, 2 is empty
ROWS = torch.tensor([[1.0, 3.0, 0.0], [2.0, -1.0, 0.0]], dtype=torch.float64)


def test_signs_are_kept_by_the_drawn_number() -> None:
    low = torch.tensor([0.5, 0.7, 0.5], dtype=torch.float64)
    high = torch.tensor([0.5, 0.8, 0.5], dtype=torch.float64)
    torch.testing.assert_close(graddrop(ROWS, low), torch.tensor([3.0, 3.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(graddrop(ROWS, high), torch.tensor([3.0, -1.0, 0.0], dtype=torch.float64))


def test_leaks_let_a_share_of_the_gradient_through() -> None:
    uniform = torch.tensor([0.5, 0.7, 0.5], dtype=torch.float64)
    leaked = graddrop(ROWS, uniform, torch.tensor([0.0, 0.25], dtype=torch.float64))
    torch.testing.assert_close(leaked, torch.tensor([3.0, 3.0 - 0.25, 0.0], dtype=torch.float64))
    torch.testing.assert_close(GradDrop(leak=1.0)(ROWS), ROWS.sum(0))


def test_the_mean_over_many_draws_is_that_of_the_probability() -> None:
    method = GradDrop()
    updates = torch.stack([method(ROWS) for _ in range(2000)])
    torch.testing.assert_close(updates[:, 0], torch.full((2000,), 3.0, dtype=torch.float64))
    assert (updates[:, 1] == 3).double().mean().item() == pytest.approx(0.75, abs=0.03)
    assert (updates[:, 2] == 0).all()


def test_every_rank_draws_the_same() -> None:
    rows = torch.randn(3, 50)
    one, other = GradDrop(seed=1), GradDrop(seed=1)
    for _ in range(3):
        torch.rand(2)
        torch.testing.assert_close(one(rows), other(rows), rtol=0, atol=0)


def test_senseless_leaks_are_refused() -> None:
    with pytest.raises(ValueError, match="leak=2 must be within 0..1"):
        GradDrop(leak=2)
    with pytest.raises(ValueError, match="leak has 3 entries for 2 tasks"):
        GradDrop(leak=[0.1, 0.2, 0.3])(ROWS)
