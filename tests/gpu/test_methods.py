"""Every balancing method computes on a GPU what it computes on a CPU; only solvers of K x K problems wait for it."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientWeighting
from tests.contract.kit.found import found
from tests.contract.kit.methods import build
from tests.contract.test_loss_methods import Run, gradients_of_a_run, losses_of_a_run
from tests.gpu.place import needs_cuda, waits_counted

STEPS, MOST_WAITS = 5, 24  # a Gramian goes to the host, and back what the solvers asked for
every_method = pytest.mark.parametrize("cls", found(Method), ids=lambda cls: cls.__name__)


def steps_of(method: Method, device: torch.device, dtype: torch.dtype) -> list[Callable[[], Tensor]]:
    """Calls of a method, one after the other, as a trainer makes them."""
    losses, gradients = losses_of_a_run(3).to(device, dtype), gradients_of_a_run(3).to(device, dtype)
    if isinstance(method, GradientWeighting):
        gramians = gradients @ gradients.mT
        return [partial(method, gramians[number], losses[number]) for number in range(STEPS)]
    return [partial(Run(method, losses, gradients).step, number) for number in range(STEPS)]


def built(cls: type[Method], device: torch.device, dtype: torch.dtype) -> Method:
    return build(cls, 3, dtype).to(device)


@every_method
def test_a_run_is_that_of_the_cpu(cls: type[Method], device: torch.device) -> None:
    method = built(cls, device, torch.float64)
    there = [step() for step in steps_of(method, device, torch.float64)]
    assert all(value.device.type == device.type and value.isfinite().all() for value in there)
    assert method.status.device.type == device.type
    if any(hasattr(part, "_host_step") for part in method.modules()):
        return  # draws its numbers on the device, so other ones
    cpu = torch.device("cpu")
    here = [step() for step in steps_of(built(cls, cpu, torch.float64), cpu, torch.float64)]
    for value, expected in zip(there, here, strict=True):
        torch.testing.assert_close(value.cpu(), expected, rtol=1e-5, atol=1e-7)


@every_method
def test_what_is_not_finite_is_seen_and_forgotten(cls: type[Method], device: torch.device) -> None:
    method = built(cls, device, torch.float32)
    losses = losses_of_a_run(3).to(device, torch.float32)
    gradients = gradients_of_a_run(3).to(device, torch.float32)
    bad = torch.where(torch.arange(3, device=device) == 1, torch.nan, losses[1])
    if isinstance(method, GradientWeighting):
        gramian = gradients[0] @ gradients[0].T
        method(gramian, losses[0])
        assert (method(gramian, bad) == 0).all()
        assert method(gramian, losses[2]).isfinite().all()
    else:
        run = Run(method, losses, gradients)
        run.step(0)
        rows = torch.where(torch.arange(3, device=device)[:, None] == 1, torch.nan, gradients[1])
        try:
            method(bad) if not hasattr(method, "combine") else method(rows, losses[1])
        except ValueError:  # a library may refuse instead
            return
        assert run.step(2).isfinite().all()


@needs_cuda
@every_method
def test_a_step_waits_for_solvers_only(cls: type[Method], device: torch.device) -> None:
    if cls.adapter:
        pytest.skip("another library's code")
    method = built(cls, device, torch.float32)
    first, second, *_ = steps_of(method, device, torch.float32)
    first()  # the first call may read a counter
    with waits_counted() as waits:
        second()
    if isinstance(method, GradientWeighting):
        assert len(waits) <= MOST_WAITS, waits
    else:
        assert not waits
