import torch
from torch import Tensor

from mtl.balancing.pcgrad import PCGrad, project_conflicts, random_orders


def on_gradients(rows_KP: Tensor, order_KK: Tensor) -> Tensor:
    """The paper's algorithm 1, word for word."""
    projected = []
    for task, order in enumerate(order_KK.tolist()):
        gradient_P = rows_KP[task].clone()
        for other in order:
            product = gradient_P @ rows_KP[other]
            if other != task and product < 0:
                gradient_P -= product / rows_KP[other].square().sum() * rows_KP[other]
        projected.append(gradient_P)
    return torch.stack(projected)


def test_coefficients_equal_the_algorithm_on_gradients() -> None:
    rows_KP = torch.randn(6, 9, dtype=torch.float64)
    rows_KP = rows_KP - 0.9 * rows_KP.mean(0)
    norms_K = rows_KP.norm(dim=1)
    unit_KP = rows_KP / norms_K[:, None]
    order_KK = torch.stack([torch.randperm(6) for _ in range(6)])
    found_KP = norms_K[:, None] * (project_conflicts(unit_KP @ unit_KP.T, order_KK) @ unit_KP)
    torch.testing.assert_close(found_KP, on_gradients(rows_KP, order_KK))


def test_two_tasks_by_hand() -> None:
    # (1, 0) loses its part along (-1, 1), and the other way round
    rows_KP = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(PCGrad()(rows_KP @ rows_KP.T) @ rows_KP, torch.tensor([0.5, 1.5]).double())
    torch.testing.assert_close(PCGrad("mean")(rows_KP @ rows_KP.T) @ rows_KP, torch.tensor([0.25, 0.75]).double())


def test_without_conflict_it_is_the_sum() -> None:
    rows_KP = torch.rand(4, 6, dtype=torch.float64)
    torch.testing.assert_close(PCGrad()(rows_KP @ rows_KP.T), torch.ones(4).double())


def test_orders_are_random_permutations_and_a_missing_task_changes_none() -> None:
    everyone = torch.arange(5)
    first, second = (random_orders(0, torch.tensor(step), 5, everyone) for step in (0, 1))
    assert not torch.equal(first, second)
    assert not torch.equal(first, random_orders(1, torch.tensor(0), 5, everyone))
    assert torch.equal(first.sort(1).values, everyone.expand(5, 5))
    left = torch.tensor([0, 1, 3, 4])
    some = left[random_orders(0, torch.tensor(0), 5, left)]
    for row, task in enumerate(left.tolist()):
        assert some[row].tolist() == [other for other in first[task].tolist() if other != 2]
