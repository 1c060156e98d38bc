"""Scale-invariant loss: the sum of the log losses."""

import torch

from mtl.balancing.method import NOT_POSITIVE, OK
from mtl.balancing.scale_invariant import ScaleInvariant


def test_weights_are_one_over_the_loss() -> None:
    method = ScaleInvariant()
    losses = torch.tensor([0.5, 4.0])
    torch.testing.assert_close(method.weights(losses), torch.tensor([2.0, 0.25]))
    torch.testing.assert_close(method(losses), torch.tensor(2.0).log())


def test_a_loss_below_zero_is_left_out_and_told() -> None:
    method = ScaleInvariant()
    torch.testing.assert_close(method.weights(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 0.5]))
    assert method.status == NOT_POSITIVE
    method.weights(torch.ones(2))
    assert method.status == OK
