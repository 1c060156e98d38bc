"""What every loss method and gradient aggregation must do. A new file in `mtl/balancing/` is tested by being found.

The traits that a method promises (`symmetric`, `scaling`, `positive_losses`, `at`) are class attributes; nothing here
names a method. `pytest --contract my.module.Class` runs them on a class of yours.
"""

import pytest
import torch
from torch import Tensor

from mtl.balancing.method import NOT_FINITE, NOT_POSITIVE, OK, STATUS, Method
from mtl.balancing.protocols import GradientAggregation, LossWeighting
from tests.contract.kit.found import found
from tests.contract.kit.methods import build

P, STEPS, PER_EPOCH = 7, 12, 3
D = torch.float64


LOSS_METHODS, AGGREGATIONS = found(LossWeighting), found(GradientAggregation)
every_loss_method = pytest.mark.parametrize("cls", LOSS_METHODS, ids=lambda cls: cls.__name__)
every_aggregation = pytest.mark.parametrize("cls", AGGREGATIONS, ids=lambda cls: cls.__name__)
every_method = pytest.mark.parametrize("cls", LOSS_METHODS + AGGREGATIONS, ids=lambda cls: cls.__name__)


def losses_of_a_run(num_tasks: int, steps: int = STEPS, seed: int = 0) -> Tensor:
    """Falling losses of several sizes, all above 0, [steps, K]."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(num_tasks, generator=generator, dtype=D) * 3 + 0.3
    speed = torch.rand(num_tasks, generator=generator, dtype=D) * 0.1
    noise = 0.1 * torch.rand(steps, num_tasks, generator=generator, dtype=D)
    return start * torch.exp(-speed * torch.arange(steps)[:, None]) + noise


def gradients_of_a_run(num_tasks: int, steps: int = STEPS, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(steps, num_tasks, P, generator=generator, dtype=D)


class Run:
    """A method called as a trainer does: objective, its optimiser, losses after the step, ends of epochs."""

    def __init__(self, method: Method, losses: Tensor, gradients: Tensor | None = None) -> None:
        self.method = method
        self.losses = losses
        self.gradients = gradients_of_a_run(losses.shape[1]).to(losses.dtype) if gradients is None else gradients
        groups = method.parameter_groups()
        self.optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9) if groups else None

    def step(self, number: int) -> Tensor:
        """Weights of the tasks, or the combined gradient."""
        losses = self.losses[number]
        if isinstance(self.method, LossWeighting):
            leaf = losses.clone().requires_grad_()
            self.method(leaf).backward()
            assert leaf.grad is not None
            result = leaf.grad
        else:
            result = self.method(self.gradients[number], losses)
        if self.optimizer is not None:
            self.optimizer.step()
            self.optimizer.zero_grad()
        if self.method.losses_after_step:
            self.method.observe_step(self.losses[(number + 1) % len(self.losses)])
        if number % PER_EPOCH == PER_EPOCH - 1:
            self.method.observe_epoch(losses, scores=1 / (1 + losses / self.losses[0]))
        return result

    def all(self) -> list[Tensor]:
        return [self.step(number) for number in range(len(self.losses))]


def test_methods_are_found() -> None:
    assert len(LOSS_METHODS) >= 18
    assert len(AGGREGATIONS) >= 4


@every_method
def test_it_names_its_paper_and_shows_how_to_use_it(cls: type[Method]) -> None:
    """Set `paper = "Authors, Title, Venue Year"` in the class, and show a call in its docstring, as the others do."""
    assert any(year in cls.paper for year in map(str, range(1990, 2031)))
    assert "(losses)" in (cls.__doc__ or "") or "(gradients" in (cls.__doc__ or "")


@every_method
@pytest.mark.parametrize("num_tasks", [1, 2, 40])
@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_any_number_of_tasks_gives_finite_results(cls: type[Method], num_tasks: int, dtype: torch.dtype) -> None:
    method = build(cls, num_tasks, dtype)
    for result in Run(method, losses_of_a_run(num_tasks).to(dtype)).all():
        assert result.dtype == dtype
        assert result.isfinite().all()
    assert STATUS[int(method.status)] == "ok"
    assert all(value.isfinite().all() for value in method.parameters())


@every_method
def test_permuting_the_tasks_permutes_the_weights(cls: type[Method]) -> None:
    if not cls.symmetric:
        pytest.skip("the order of the tasks is part of this method")
    losses, gradients = losses_of_a_run(4), gradients_of_a_run(4)
    order = torch.tensor([2, 0, 3, 1])
    straight = Run(build(cls, 4, D), losses, gradients).all()
    permuted = Run(build(cls, 4, D), losses[:, order], gradients[:, order]).all()
    weighs = issubclass(cls, LossWeighting)
    torch.testing.assert_close([value[order] if weighs else value for value in straight], permuted)


@every_loss_method
def test_the_update_keeps_its_direction_under_the_scaling_it_promises(cls: type[LossWeighting]) -> None:
    if cls.scaling == "none":
        pytest.skip("no promise")
    factor = torch.tensor([1e-2, 5.0, 1e3] if cls.scaling == "each" else [7.0] * 3, dtype=D)
    # a learned weight moves with the size of the losses: the promise holds for equal state, so at the first step
    losses = losses_of_a_run(3, 1 if build(cls, 3, D).parameter_groups() else STEPS)
    plain, scaled = Run(build(cls, 3, D), losses).all(), Run(build(cls, 3, D), factor * losses).all()
    for before, weights in zip(plain, scaled, strict=True):
        after = weights * factor
        torch.testing.assert_close(after / after.norm(), before / before.norm(), rtol=1e-5, atol=1e-7)


@every_aggregation
def test_the_combined_gradient_keeps_its_direction_under_the_scaling_it_promises(cls: type[Method]) -> None:
    if cls.scaling == "none":
        pytest.skip("no promise")
    losses, gradients = losses_of_a_run(3), gradients_of_a_run(3)
    plain, scaled = Run(build(cls, 3, D), losses, gradients).all(), Run(build(cls, 3, D), losses, 1e3 * gradients).all()
    for before, after in zip(plain, scaled, strict=True):
        torch.testing.assert_close(after / after.norm(), before / before.norm(), rtol=1e-5, atol=1e-7)


@every_loss_method
def test_a_missing_task_gets_an_exact_zero_and_does_not_touch_the_others(cls: type[LossWeighting]) -> None:
    losses = losses_of_a_run(3)
    one, other = build(cls, 3, D), build(cls, 3, D)
    changed = losses[0].clone()
    changed[1] = 0.0  # what a task without labels reports
    weights = one.weights(losses[0], present=[True, False, True])
    assert weights[1] == 0
    assert weights.isfinite().all()
    torch.testing.assert_close(weights, other.weights(changed, present=[True, False, True]), rtol=0, atol=0)
    assert int(one.status) == OK


@every_aggregation
def test_a_missing_row_changes_nothing(cls: type[GradientAggregation]) -> None:
    losses, gradients = losses_of_a_run(3), gradients_of_a_run(3)
    one, other = build(cls, 3, D), build(cls, 3, D)
    present = [True, False, True]
    changed = gradients[0].clone()
    changed[1] = 1e6
    torch.testing.assert_close(
        one(gradients[0], losses[0], present), other(changed, losses[0], present), rtol=0, atol=0
    )
    assert int(one.status) == OK


@every_method
def test_a_batch_without_any_label_gives_an_exact_zero(cls: type[Method]) -> None:
    method = build(cls, 2, D)
    losses = torch.zeros(2, dtype=D, requires_grad=True)
    if isinstance(method, LossWeighting):
        objective = method(losses, present=[False, False])
        objective.backward()
        assert objective == 0
        assert losses.grad is not None
        assert (losses.grad == 0).all()
    else:
        assert (method(torch.ones(2, P), losses, [False, False]) == 0).all()


@every_loss_method
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_is_told_and_leaves_no_trace(cls: type[LossWeighting], bad: float) -> None:
    method = build(cls, 3, D)
    losses = losses_of_a_run(3)
    run = Run(method, losses)
    run.step(0)
    poisoned = losses[1].clone()
    poisoned[1] = bad
    method(poisoned)
    assert STATUS[int(method.status)] == STATUS[NOT_FINITE]
    if method.losses_after_step:
        method.observe_step(poisoned)
    assert not any(buffer.isinf().any() for buffer in method.buffers())
    for number in range(2, 8):
        assert run.step(number).isfinite().all()
    assert int(method.status) == OK


@every_aggregation
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_is_told_and_leaves_no_trace(cls: type[Method], bad: float) -> None:
    method = build(cls, 3, D)
    losses, gradients = losses_of_a_run(3), gradients_of_a_run(3)
    run = Run(method, losses, gradients)
    run.step(0)
    poisoned = gradients[1].clone()
    poisoned[1, 2] = bad
    try:
        assert not method(poisoned, losses[1]).isfinite().all()  # so that the loss scaler of fp16 skips the step
    except ValueError:  # a library may refuse instead
        return
    assert STATUS[int(method.status)] == STATUS[NOT_FINITE]
    for number in range(2, 6):
        assert run.step(number).isfinite().all()
    assert int(method.status) == OK


@every_loss_method
def test_a_loss_of_zero_never_gives_a_weight_that_is_not_finite(cls: type[LossWeighting]) -> None:
    method = build(cls, 3, D)
    losses = torch.tensor([1.0, 0.0, 2.0], dtype=D)
    assert method.weights(losses).isfinite().all()
    assert int(method.status) == (NOT_POSITIVE if method.positive_losses else OK)


@every_method
def test_a_stop_and_resume_is_bit_equal(cls: type[Method]) -> None:
    losses, half = losses_of_a_run(3), STEPS // 2 + 1
    expected = Run(build(cls, 3, D), losses).all()
    first = Run(build(cls, 3, D), losses)
    for number in range(half):
        first.step(number)
    resumed = cls.example(3).double()
    resumed.load_state_dict(first.method.state_dict())  # into a method that has not been built
    second = Run(resumed, losses)
    if first.optimizer is not None:
        assert second.optimizer is not None
        second.optimizer.load_state_dict(first.optimizer.state_dict())
    for number in range(half, STEPS):
        torch.testing.assert_close(second.step(number), expected[number], rtol=0, atol=0)


@every_loss_method
def test_only_losses_and_declared_parameters_get_a_gradient(cls: type[LossWeighting]) -> None:
    method = build(cls, 3, D)
    declared = [parameter for group in method.parameter_groups() for parameter in group["params"]]
    assert {id(parameter) for parameter in declared} == {id(parameter) for parameter in method.parameters()}
    assert all(group["weight_decay"] == 0 for group in method.parameter_groups())
    losses = losses_of_a_run(3)[0].requires_grad_()
    objective = method(losses)
    assert objective.ndim == 0
    objective.backward()
    assert losses.grad is not None
    assert not any(buffer.requires_grad for buffer in method.buffers())


@every_loss_method
def test_half_precision_losses_are_weighed_in_float32(cls: type[LossWeighting]) -> None:
    method = build(cls, 3, torch.float32)
    losses = losses_of_a_run(3)[0].to(torch.bfloat16).requires_grad_()
    objective = method(losses)
    objective.backward()
    assert objective.dtype == torch.float32
    assert losses.grad is not None
    assert losses.grad.isfinite().all()


@every_method
def test_another_number_of_tasks_is_refused(cls: type[Method]) -> None:
    method = build(cls, 3, D)
    with pytest.raises(ValueError, match="built for 3 tasks but got 4"):
        method(torch.ones(4) if isinstance(method, LossWeighting) else torch.ones(4, P))


@every_aggregation
def test_one_task_keeps_its_direction(cls: type[Method]) -> None:
    method, gradient = build(cls, 1, D), gradients_of_a_run(1)[0]
    update = method(gradient, torch.ones(1, dtype=D))
    if update.any():
        assert torch.nn.functional.cosine_similarity(update, gradient[0], dim=0) > 0.99
