"""What every method on the Gramian must do. A new file in `mtl/balancing/` is tested here by being found.

`pytest --contract my.module.Class` tests a class of your own. The traits that a method promises
(`symmetric`, `scaling`, `never_conflicts`) are class attributes; nothing here names a method. Loss methods and gradient
aggregations are in `test_loss_methods.py`.
Shapes: K tasks, P shared parameters.
"""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.balancing.method import NOT_FINITE, STATIONARY, STATUS
from mtl.balancing.protocols import GradientWeighting
from tests.contract.kit.found import found
from tests.contract.kit.methods import build

D = torch.float64


METHODS = found(GradientWeighting)  # type: ignore[type-abstract]
every_method = pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)


def gradients(num_tasks: int, kind: str = "plain", seed: int = 0) -> Tensor:
    """Task gradients, [K,P]."""
    generator = torch.Generator().manual_seed(seed)
    rows_KP = torch.randn(num_tasks, 3 * num_tasks + 5, generator=generator, dtype=D)
    if kind == "conflicting":
        rows_KP = rows_KP - 0.95 * rows_KP.mean(0)
    elif kind == "stationary":
        rows_KP = rows_KP - rows_KP.mean(0)
    elif kind == "dependent":
        rows_KP = rows_KP[:, : max(1, num_tasks // 2)] + 1
    elif kind == "duplicates":
        rows_KP[num_tasks // 2 :] = rows_KP[: num_tasks - num_tasks // 2].clone()
    elif kind == "wild":
        rows_KP = rows_KP * 10 ** (12 * torch.rand(num_tasks, 1, generator=generator, dtype=D) - 6)
    elif kind == "zero row":
        rows_KP[0] = 0
    elif kind == "all zero":
        rows_KP = torch.zeros_like(rows_KP)
    return rows_KP


KINDS = ("plain", "conflicting", "stationary", "dependent", "duplicates", "wild", "zero row", "all zero")


def losses(num_tasks: int, seed: int = 0) -> Tensor:
    return torch.rand(num_tasks, generator=torch.Generator().manual_seed(seed), dtype=D) + 0.5


def steps(method: GradientWeighting, numbers: range, num_tasks: int = 4) -> list[Tensor]:
    results = []
    for number in numbers:
        rows_KP = gradients(num_tasks, "conflicting", seed=number)
        results.append(method(rows_KP @ rows_KP.T, losses(num_tasks, number)))
        if number % 3 == 2:
            method.observe_epoch(losses(num_tasks, number), losses(num_tasks, number + 100))
    return results


def state(method: GradientWeighting) -> dict[str, Any]:
    return {name: copy.deepcopy(value) for name, value in method.state_dict().items() if "status" not in name}


def test_methods_are_found() -> None:
    assert len(METHODS) >= 17


@every_method
def test_says_where_it_comes_from_and_how_it_is_used(cls: type[GradientWeighting]) -> None:
    assert any(character.isdigit() for character in cls.paper)
    assert "(gramian" in (cls.__doc__ or "")
    assert cls.head_gradients in ("own", "weighted")


@every_method
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_tasks", [1, 2, 5, 40])
def test_weights_are_finite_on_every_gramian(cls: type[GradientWeighting], kind: str, num_tasks: int) -> None:
    rows_KP = gradients(num_tasks, kind)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        method = build(cls, num_tasks)
        weights_K = method((rows_KP @ rows_KP.T).to(dtype), losses(num_tasks).to(dtype))
        assert weights_K.shape == (num_tasks,)
        assert weights_K.dtype == dtype
        assert bool(weights_K.isfinite().all()), (dtype, weights_K)
        assert 0 <= int(method.status) < len(STATUS)
        assert int(method.status) != NOT_FINITE


@every_method
def test_losses_may_be_left_out(cls: type[GradientWeighting]) -> None:
    rows_KP = gradients(3)
    assert bool(build(cls, 3)(rows_KP @ rows_KP.T).isfinite().all())


@every_method
@pytest.mark.parametrize("kind", ["plain", "conflicting"])
@pytest.mark.parametrize("num_tasks", [2, 5, 12])
def test_permuted_tasks_get_permuted_weights(cls: type[GradientWeighting], kind: str, num_tasks: int) -> None:
    if not cls.symmetric:
        pytest.skip("depends on the order of the tasks")
    order_K = torch.randperm(num_tasks)
    plain, permuted = build(cls, num_tasks), build(cls, num_tasks)
    for number in range(3):
        rows_KP, losses_K = gradients(num_tasks, kind, number), losses(num_tasks, number)
        expected_K = plain(rows_KP @ rows_KP.T, losses_K)[order_K]
        rows_KP, losses_K = rows_KP[order_K], losses_K[order_K]
        torch.testing.assert_close(permuted(rows_KP @ rows_KP.T, losses_K), expected_K, rtol=1e-4, atol=1e-6)


@every_method
@pytest.mark.parametrize("kind", ["plain", "conflicting"])
@pytest.mark.parametrize("each", [False, True], ids=["common", "each"])
def test_direction_keeps_under_the_promised_scaling(cls: type[GradientWeighting], kind: str, each: bool) -> None:
    if cls.scaling == "none" or (each and cls.scaling == "common"):
        pytest.skip(f"promises {cls.scaling}")
    plain, scaled = build(cls, 4), build(cls, 4)
    for number in range(3):
        rows_KP, losses_K = gradients(4, kind, number), losses(4, number)
        factor_K = torch.tensor([1e-3, 3.0, 0.2, 70.0], dtype=D) if each else torch.full((4,), 1e3, dtype=D)
        update_P = plain(rows_KP @ rows_KP.T, losses_K) @ rows_KP
        rows_KP = rows_KP * factor_K[:, None]
        scaled_P = scaled(rows_KP @ rows_KP.T, losses_K * factor_K) @ rows_KP
        torch.testing.assert_close(scaled_P / scaled_P.norm(), update_P / update_P.norm(), rtol=1e-6, atol=1e-9)


@every_method
@pytest.mark.parametrize("kind", ["plain", "conflicting", "dependent", "duplicates", "wild", "zero row"])
@pytest.mark.parametrize("num_tasks", [2, 5, 16, 40])
def test_update_conflicts_with_no_task_where_promised(cls: type[GradientWeighting], kind: str, num_tasks: int) -> None:
    if not cls.never_conflicts:
        pytest.skip("does not promise it")
    rows_KP = gradients(num_tasks, kind)
    method = build(cls, num_tasks)
    weights_K = method(rows_KP @ rows_KP.T, losses(num_tasks))
    # an inner product is accurate to eps times the lengths of all that is summed; at a Pareto-stationary point, the
    # update itself is rounding
    lengths_K = rows_KP.norm(dim=1)
    rounding_K = (1e-6 if method.status == STATIONARY else 1e-11) * lengths_K * (weights_K.abs() @ lengths_K)
    assert bool((rows_KP @ (weights_K @ rows_KP) >= -rounding_K).all())


@every_method
def test_missing_tasks_get_weight_zero_and_leave_the_others_alone(cls: type[GradientWeighting]) -> None:
    rows_KP, losses_K = gradients(4, "conflicting"), losses(4)
    present = [True, False, True, True]
    wild_KP = rows_KP.clone()
    wild_KP[1] *= 1e6
    first_K = build(cls, 4)(rows_KP @ rows_KP.T, losses_K, present)
    second_K = build(cls, 4)(wild_KP @ wild_KP.T, losses_K * torch.tensor([1, 1e6, 1, 1]), present)
    assert float(first_K[1]) == 0
    assert bool(first_K[[0, 2, 3]].abs().sum() > 0)
    torch.testing.assert_close(first_K, second_K)


@every_method
def test_no_task_present_gives_zeros(cls: type[GradientWeighting]) -> None:
    method, rows_KP = build(cls, 3), gradients(3)
    before = state(method)
    assert method(rows_KP @ rows_KP.T, losses(3), [False] * 3).tolist() == [0, 0, 0]
    assert_same(state(method), before)


@every_method
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["gramian", "losses"])
def test_what_is_not_finite_leaves_no_trace(cls: type[GradientWeighting], bad: float, where: str) -> None:
    method = build(cls, 4)
    steps(method, range(3))
    before, twin = state(method), copy.deepcopy(method)
    rows_KP, losses_K = gradients(4), losses(4)
    gramian_KK = rows_KP @ rows_KP.T
    if where == "gramian":
        gramian_KK[1, 2] = gramian_KK[2, 1] = bad
    else:
        losses_K[1] = bad
    assert method(gramian_KK, losses_K).tolist() == [0] * 4
    assert int(method.status) == NOT_FINITE
    assert_same(state(method), before)
    for after, expected in zip(steps(method, range(3, 5)), steps(twin, range(3, 5)), strict=True):
        assert torch.equal(after, expected)


@every_method
def test_a_single_task_is_descended(cls: type[GradientWeighting]) -> None:
    rows_KP = gradients(1)
    weight = build(cls, 1)(rows_KP @ rows_KP.T, losses(1))
    assert float(weight) > 0


@every_method
def test_stop_and_resume_changes_no_bit(cls: type[GradientWeighting]) -> None:
    whole = steps(build(cls, 4), range(10))
    first = build(cls, 4)
    head = steps(first, range(5))
    second = cls.example(4)
    second.load_state_dict(pickle.loads(pickle.dumps(first.state_dict())))
    for found_K, expected_K in zip(head + steps(second, range(5, 10)), whole, strict=True):
        assert torch.equal(found_K, expected_K)


@every_method
def test_draws_no_global_random_numbers(cls: type[GradientWeighting]) -> None:
    method = build(cls, 4)
    before = torch.random.get_rng_state()
    steps(method, range(2))
    assert torch.equal(torch.random.get_rng_state(), before)


@every_method
def test_another_number_of_tasks_is_refused(cls: type[GradientWeighting]) -> None:
    method, rows_KP = build(cls, 3), gradients(4)
    with pytest.raises(ValueError, match="built for 3 tasks but got 4"):
        method(rows_KP @ rows_KP.T)


@every_method
def test_gradients_of_the_gramian_are_not_asked_for(cls: type[GradientWeighting]) -> None:
    rows_KP = gradients(3).requires_grad_()
    assert not build(cls, 3)(rows_KP @ rows_KP.T, losses(3).requires_grad_()).requires_grad


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
