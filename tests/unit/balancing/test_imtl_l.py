"""IMTL-L, the loss part of impartial learning."""

import torch

from mtl.balancing.imtl_l import IMTLL


def test_objective_is_that_of_the_paper() -> None:
    method = IMTLL(scale=0.5)
    losses = torch.tensor([1.0, 3.0])
    torch.testing.assert_close(method(losses), torch.tensor(0.5).exp() * 4 - 1.0)


def test_learned_scales_bring_every_loss_to_one() -> None:
    method, losses = IMTLL(), torch.tensor([0.2, 5.0])
    method.build(2)
    optimizer = torch.optim.SGD(method.parameter_groups(), lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        method(losses).backward()
        optimizer.step()
    torch.testing.assert_close(method.weights(losses) * losses, torch.ones(2), rtol=1e-3, atol=0)
