"""Every head does on a GPU what it does on a CPU, and trains there."""

import copy

import pytest
import torch
from torch import Tensor

from mtl.batch import Batch
from mtl.features import Features
from mtl.heads.head import Head
from tests.contract.kit.batches import build, every_head, random_batch, random_features
from tests.gpu.place import needs_cuda, waits_counted


def on(device: torch.device, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def loss_and_gradients(head: Head, features: Features, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Outputs, and the loss with all its gradients."""
    levels = {name: level.clone().requires_grad_(level.is_floating_point()) for name, level in features.items()}
    outputs = head(levels)
    loss = head.loss(outputs, batch)
    loss.backward()
    gradients = [value.grad for value in [*head.parameters(), *levels.values()] if value.grad is not None]
    return {name: value.detach() for name, value in outputs.items()}, [loss.detach(), *gradients]


@every_head
def test_outputs_loss_and_gradients_are_those_of_the_cpu(
    cls: type[Head], kind: str, place: str, device: torch.device
) -> None:
    here = build(cls, kind, place).eval()  # without dropout
    there = copy.deepcopy(here).to(device)
    outputs, gradients = loss_and_gradients(here, random_features(place), random_batch(kind, place))
    found, also = loss_and_gradients(there, on(device, random_features(place)), on(device, random_batch(kind, place)))
    assert {value.device.type for value in [*found.values(), *also]} == {device.type}
    for name, value in outputs.items():
        torch.testing.assert_close(found[name].cpu(), value, rtol=1e-3, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
    for value, other in zip(gradients, also, strict=True):
        scale = float(value.abs().max())
        torch.testing.assert_close(other.cpu(), value, rtol=1e-2, atol=1e-3 * scale + 1e-7)


@every_head
def test_predictions_are_those_of_the_cpu(cls: type[Head], kind: str, place: str, device: torch.device) -> None:
    head = build(cls, kind, place).eval()
    features = random_features(place, 4).items()
    outputs = head({level: 3 * value if value.is_floating_point() else value for level, value in features})
    here = head.decode(outputs)
    there = head.to(device).decode(on(device, outputs))
    assert there.keys() == here.keys()
    for name, value in here.items():
        assert there[name].device.type == device.type
        assert there[name].shape == value.shape
        # two scores that are equal to rounding may change places
        same = torch.isclose(there[name].cpu().float(), value.float(), rtol=1e-3, atol=1e-2)
        assert same.float().mean() > 0.9, name


@every_head
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_head_trains(cls: type[Head], kind: str, place: str, dtype: torch.dtype, device: torch.device) -> None:
    head = build(cls, kind, place).to(device)
    features, batch = on(device, random_features(place)), on(device, random_batch(kind, place))
    optimizer = torch.optim.AdamW(head.parameters(), lr=5e-3, fused=True)
    losses = []
    for _ in range(12):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = head.loss(head(features), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    values = torch.stack(losses).cpu()
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert values[-2:].mean() < values[0]


@needs_cuda
@every_head
def test_a_training_step_of_a_head_never_waits(cls: type[Head], kind: str, place: str, device: torch.device) -> None:
    if not getattr(cls, "loss_compiles", True):
        pytest.skip("works on the host on purpose")
    head, features, batch = (
        build(cls, kind, place).to(device),
        on(device, random_features(place)),
        on(device, random_batch(kind, place)),
    )
    loss_and_gradients(head, features, batch)  # the first step loads kernels
    with waits_counted() as waits:
        loss_and_gradients(head, features, batch)
    assert not waits
