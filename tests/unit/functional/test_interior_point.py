import torch

from mtl.functional.solvers.interior_point import interior_point


def test_complementary_and_feasible_after_the_fixed_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    factor = torch.nn.functional.normalize(torch.randn(4, 20, 8, generator=generator, dtype=torch.float64), dim=2)
    matrix_BKK = factor @ factor.mT
    linear_BK = (matrix_BKK @ torch.randn(4, 20, 1, generator=generator, dtype=torch.float64))[..., 0]
    x_BK, y_BK = interior_point(matrix_BKK, linear_BK)
    assert float(x_BK.min()) > 0
    assert float(y_BK.min()) > 0
    assert float((x_BK * y_BK).max()) < 1e-16
    assert float((matrix_BKK @ x_BK[..., None] - linear_BK[..., None] - y_BK[..., None]).abs().max()) < 1e-8


def test_keeps_every_variable_that_may_be_above_zero() -> None:
    # of two equal variables, any split is a solution; the inner one is even
    matrix_1KK = torch.ones(1, 2, 2, dtype=torch.float64)
    x_1K, y_1K = interior_point(matrix_1KK, torch.ones(1, 2, dtype=torch.float64))
    torch.testing.assert_close(x_1K, torch.full((1, 2), 0.5).double(), rtol=1e-6, atol=0)
    assert float(y_1K.max()) < 1e-8
