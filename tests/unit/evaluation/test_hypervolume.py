import pytest
import torch

from mtl.evaluation.tables.hypervolume import hypervolume, non_dominated


def test_two_tasks_by_hand() -> None:
    # squares of 1 x 3 and 2 x 1 below (4, 4), joined by one step
    points = [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]
    assert hypervolume(points, (4, 4)) == pytest.approx(3 * 1 + 2 * 1 + 1 * 1)
    assert hypervolume([*points, (2.5, 2.5), (2.0, 2.0), (5.0, 0.0)], (4, 4)) == pytest.approx(6)
    assert hypervolume([], (4, 4)) == hypervolume([(4.0, 0.0)], (4, 4)) == 0
    assert hypervolume([(1.0,), (3.0,)], (4,)) == 3


def test_three_tasks_against_random_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(6, 3, generator=generator, dtype=torch.float64)
    drawn = torch.rand(60_000, 3, generator=generator, dtype=torch.float64)
    dominated = (drawn[:, None] >= points).all(-1).any(1).double().mean()
    assert hypervolume(points.tolist(), (1, 1, 1)) == pytest.approx(float(dominated), abs=0.01)
    turned = points[:, [2, 0, 1]].flip(0)
    assert hypervolume(turned.tolist(), (1, 1, 1)) == pytest.approx(hypervolume(points.tolist(), (1, 1, 1)))


def test_a_front_holds_what_no_point_beats() -> None:
    assert non_dominated([(2, 2), (1, 3), (2, 3), (1, 3)]) == [(1, 3), (2, 2)]
    with pytest.raises(ValueError, match=r"point \[1\] has 1 objectives, the reference 2"):
        hypervolume([[1]], (2, 2))
