"""Nodes between trunk and heads: what arrives, what is passed on, and the factor that gradients carry."""

import torch
from torch import Tensor

from mtl.balancing.engine.fork import deliver, fork, watch_scale
from mtl.functional.gradient_rows import gramian, gramian_of_matrix, weighted_sum, weighted_sum_of_matrix


def test_the_gradients_of_all_tasks_meet_once_and_their_combination_goes_on() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    seen: list[list[list[Tensor | None]]] = []

    def combine(rows: list[list[Tensor | None]]) -> list[Tensor | None]:
        seen.append(rows)
        return [torch.tensor([10.0, 20.0]), None]

    first, second = fork([2 * x, 3 * x], 2, combine)
    (first[0].sum() + 5 * second[0].sum()).backward()
    assert len(seen) == 1
    torch.testing.assert_close(seen[0][0][0], torch.ones(2))
    torch.testing.assert_close(seen[0][1][0], 5 * torch.ones(2))
    assert seen[0][0][1] is None
    torch.testing.assert_close(x.grad, torch.tensor([20.0, 40.0]))


def test_delivered_gradients_carry_the_factor_of_the_backward() -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
    zero = deliver([x, y], [torch.tensor([1.0, 2.0]), None])
    assert zero == 0
    (3 * zero).backward()
    torch.testing.assert_close(x.grad, torch.tensor([3.0, 6.0]))
    torch.testing.assert_close(y.grad, torch.zeros(1))


def test_the_factor_is_known_before_any_other_node_runs() -> None:
    x = torch.ones(1, requires_grad=True)
    order: list[str] = []
    x.register_hook(lambda gradient: order.append("leaf"))
    total = watch_scale((2 * x).sum(), lambda scale: order.append(f"{float(scale)}"))
    (total * 8 / 2).backward()
    assert order == ["4.0", "leaf"]
    torch.testing.assert_close(x.grad, torch.tensor([8.0]))


def test_blocks_give_the_gramian_and_the_sum_of_whole_rows_in_any_layout() -> None:
    rows = [torch.randn(3, 8, 100, 100) for _ in range(3)]
    rows[1] = rows[1].contiguous(memory_format=torch.channels_last)
    mixed = [rows[1], None, torch.randn(3, 8, 1, 1).expand(3, 8, 100, 100), rows[2]]
    dense = torch.stack([torch.zeros(240000) if row is None else row.flatten() for row in mixed])
    weights = torch.tensor([0.5, 2.0, -1.0, 3.0])
    # off the diagonal the products cancel, and what is left has the rounding of the norms, 2.4e5
    exact = dense.double() @ dense.double().T
    torch.testing.assert_close(gramian(mixed), exact, rtol=1e-6, atol=0.25)
    total = weighted_sum(mixed, weights)
    torch.testing.assert_close(total.flatten(), weights @ dense, rtol=1e-5, atol=1e-5)
    assert total.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(gramian_of_matrix(dense), gramian(mixed), rtol=1e-6, atol=0.25)
    torch.testing.assert_close(weighted_sum_of_matrix(dense.clone(), weights), weights @ dense, rtol=1e-5, atol=1e-5)


def test_one_task_alone_and_sixteen_bits_are_summed_in_their_own_type() -> None:
    row = torch.randn(4, 6, dtype=torch.bfloat16)
    torch.testing.assert_close(gramian([None, row])[1, 1], row.double().square().sum(), rtol=1e-5, atol=0)
    assert weighted_sum([row, row], torch.tensor([0.25, 0.75])).dtype == torch.bfloat16
    torch.testing.assert_close(weighted_sum([None, row], torch.tensor([9.0, 2.0]), torch.float32), 2 * row.float())
