"""The geometric mean of the losses."""

import torch

from mtl.balancing.geometric import Geometric


def test_objective_and_weights_are_those_of_the_geometric_mean() -> None:
    method, losses = Geometric(), torch.tensor([2.0, 8.0])
    torch.testing.assert_close(method(losses), torch.tensor(4.0))
    torch.testing.assert_close(method.weights(losses), torch.tensor([4 / (2 * 2.0), 4 / (2 * 8.0)]))


def test_the_product_of_many_losses_does_not_underflow() -> None:
    losses = torch.full((40,), 1e-3)  # the product is 1e-120, below float32
    torch.testing.assert_close(Geometric()(losses), torch.tensor(1e-3))
