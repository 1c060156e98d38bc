"""Random numbers from a counter: their distribution, and that they depend on the counter alone."""

import pytest
import torch

from mtl.functional.counter_random import counter_dirichlet, counter_normal, counter_uniform

N = 100_000


def test_uniform_numbers_are_spread_evenly_inside_the_open_interval() -> None:
    numbers = counter_uniform(3, torch.tensor(7), N)
    assert numbers.dtype == torch.float32
    assert 0 < numbers.min() < 1e-3
    assert 1 - 1e-3 < numbers.max() < 1
    counts = torch.histc(numbers, bins=10, min=0, max=1)
    assert (counts / N - 0.1).abs().max() < 0.005
    # neighbours, and the same place one step later, are unrelated
    later = counter_uniform(3, torch.tensor(8), N)
    assert abs(torch.corrcoef(torch.stack((numbers[1:], numbers[:-1])))[0, 1]) < 0.02
    assert abs(torch.corrcoef(torch.stack((numbers, later)))[0, 1]) < 0.02


def test_normal_numbers_have_the_moments_of_the_normal_distribution() -> None:
    numbers = counter_normal(0, torch.tensor(0), N, dtype=torch.float64)
    assert abs(numbers.mean()) < 0.02
    assert numbers.std() == pytest.approx(1, abs=0.02)
    assert (numbers**4).mean() == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_dirichlet_points_have_the_mean_and_variance_of_the_distribution(alpha: float) -> None:
    concentration = torch.tensor([alpha, alpha, 2 * alpha])
    points = torch.stack([counter_dirichlet(1, torch.tensor(step), concentration) for step in range(1500)])
    share = concentration / concentration.sum()
    torch.testing.assert_close(points.sum(1), torch.ones(1500))
    torch.testing.assert_close(points.mean(0), share, atol=0.03, rtol=0)
    expected = share * (1 - share) / (4 * alpha + 1)
    torch.testing.assert_close(points.var(0), expected, atol=0.01, rtol=0.15)


def test_seed_step_and_stream_each_change_the_numbers_and_nothing_else_does() -> None:
    def draw(seed: int = 0, step: int = 0, stream: int = 0) -> torch.Tensor:
        torch.rand(3)  # the global generator plays no part
        return counter_uniform(seed, torch.tensor(step), 4, stream)

    torch.testing.assert_close(draw(), draw(), rtol=0, atol=0)
    different = torch.stack([draw(), draw(seed=1), draw(step=1), draw(stream=1), draw(seed=-1)])
    assert len(different.unique()) == different.numel()


def test_more_numbers_begin_with_the_same_ones() -> None:
    few, many = counter_uniform(0, torch.tensor(5), 3), counter_uniform(0, torch.tensor(5), 9)
    torch.testing.assert_close(many[:3], few, rtol=0, atol=0)
