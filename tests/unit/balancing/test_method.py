"""The protocols: building, missing tasks, parameter groups of learned weights, status and state."""

import pytest
import torch
from torch import Tensor, nn

from mtl.balancing.dwa import DWA
from mtl.balancing.equal import Equal
from mtl.balancing.method import NOT_FINITE, OK
from mtl.balancing.moco import MoCo
from mtl.balancing.protocols import GradientAggregation, GradientWeighting, LossWeighting
from mtl.balancing.scale_invariant import ScaleInvariant


class _Trace(GradientWeighting):
    """Weighs by the norm, and remembers how often it saw each task."""

    paper = "for tests"
    seen_K: Tensor

    def make_state(self, num_tasks: int) -> None:
        self.register_buffer("seen_K", torch.zeros(num_tasks))

    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        self.seen_K[index_K] += 1
        return gramian_KK.diagonal().sqrt() * losses_K


class _Sum(GradientAggregation):
    paper = "for tests"

    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        return losses_K @ gradients_KP


class _Learned(LossWeighting):
    paper = "for tests"

    def __init__(self, inner: LossWeighting | None = None, weight_lr: float | None = None) -> None:
        super().__init__()
        self.inner = inner
        self.weight_lr = weight_lr

    def make_state(self, num_tasks: int) -> None:
        self.scale = nn.Parameter(torch.ones(num_tasks))
        if self.inner is not None:
            self.inner.build(num_tasks)

    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        return (self.scale[index_K] * losses_K).sum()


def test_weights_of_a_missing_task_are_zero_and_its_state_stays() -> None:
    method = _Trace()
    gramian = torch.diag(torch.tensor([4.0, 9.0, 16.0]))
    weights = method(gramian, torch.tensor([1.0, 2.0, 3.0]), present=[True, False, True])
    torch.testing.assert_close(weights, torch.tensor([2.0, 0.0, 12.0]))
    assert method.seen_K.tolist() == [1, 0, 1]
    torch.testing.assert_close(method(gramian), torch.tensor([2.0, 3.0, 4.0]))  # losses are ones by default


def test_a_combined_gradient_keeps_the_dtype_but_is_computed_in_float32() -> None:
    gradients = torch.ones(300, 2, dtype=torch.float16) * 300
    assert _Sum()(gradients).dtype == torch.float16
    assert _Sum()(gradients).isinf().all()  # 90 000 is above float16, and says so
    small = _Sum()(gradients * 1e-4)
    torch.testing.assert_close(small.float(), torch.full((2,), 9.0), rtol=1e-2, atol=0)


def test_groups_of_learned_weights_come_from_every_level() -> None:
    method = _Learned(inner=_Learned(weight_lr=0.5))
    assert method.parameter_groups() == []
    method.build(3)
    outer, inner = method.parameter_groups()
    assert "lr" not in outer
    assert inner["lr"] == 0.5
    assert [group["weight_decay"] for group in (outer, inner)] == [0.0, 0.0]
    torch.optim.AdamW(method.parameter_groups(), lr=1.0)  # every parameter in one group


def test_the_status_is_that_of_the_last_call() -> None:
    method = Equal()
    assert method(torch.tensor([1.0, torch.nan])).isnan()
    assert method.status == NOT_FINITE
    method(torch.ones(2))
    assert method.status == OK


def test_a_missing_task_of_nan_does_not_matter() -> None:
    losses = torch.tensor([2.0, torch.nan], requires_grad=True)
    objective = ScaleInvariant()(losses, present=[True, False])
    objective.backward()
    torch.testing.assert_close(losses.grad, torch.tensor([0.5, 0.0]))


def test_state_loads_into_a_method_that_was_never_called() -> None:
    method = MoCo()
    method(torch.ones(2, 5, dtype=torch.float64), torch.ones(2))
    fresh = MoCo()
    fresh.load_state_dict(method.state_dict())
    assert fresh.num_tasks == 2
    assert fresh.average_KP.shape == (2, 5)
    assert fresh.average_KP.dtype == torch.float64
    strict = DWA()
    strict.build(3)
    with pytest.raises(RuntimeError, match="size mismatch"):
        strict.load_state_dict(_built(DWA(), 2).state_dict())


def _built(method: LossWeighting, num_tasks: int) -> LossWeighting:
    method.build(num_tasks)
    return method


def test_building_again_for_another_number_is_refused() -> None:
    method = _built(Equal(), 2)
    method.build(2)
    with pytest.raises(ValueError, match="Equal was built for 2 tasks but got 3"):
        method.build(3)
