"""Lightning's trainer on a GPU: every method, precision, accumulation, averages, compilation, resume, one rank."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientWeighting
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.finite_losses import FiniteLosses
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.checkpoints.ema import EMA
from mtl.callbacks.defaults import default_callbacks
from mtl.callbacks.distributed.fully_sharded import FullySharded
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim
from tests.contract.kit.methods import example
from tests.contract.kit.runs import Norms, Save, Scenes, at_all_places, module, one_of_each_kind, state, trainer
from tests.gpu.place import BACKEND, DEVICE, REHEARSAL, TRAINER, CountWaits, needs_cuda
from tests.gpu.test_methods import MOST_WAITS

each_kind = pytest.mark.parametrize(("cls", "at"), one_of_each_kind())
# a rehearsal on a CPU is to be short; there `tests/contract` has them all
every_method = pytest.mark.parametrize(("cls", "at"), one_of_each_kind() if REHEARSAL else at_all_places())
PLACES = ["none", "features", "parameters"]


def norms() -> Norms:
    """The same weights at every call."""
    torch.manual_seed(2)
    return Norms()


def balancing(at: str) -> list[Any]:
    return [] if at == "none" else [LossBalancing(UPGrad(), at=at)]  # type: ignore[arg-type]


def train(
    callbacks: list[Any], loop: MultiTaskLightningModule | None = None, resume: Path | None = None, **settings: Any
) -> MultiTaskLightningModule:
    """A run of four tasks on the device, of two batches where nothing else is said."""
    loop = loop or module()
    defaults: dict[str, Any] = {**TRAINER, "max_epochs": 1, "limit_train_batches": 2, "log_every_n_steps": 1000}
    run = trainer(callbacks, **defaults | settings)
    run.fit(loop, Scenes(), ckpt_path=resume, weights_only=True if resume else None)
    assert all(value.isfinite().all() for value in loop.parameters())
    return loop


def distance(loop: nn.Module, other: nn.Module) -> float:
    """The largest difference of two networks' weights, relative to the largest weight of the tensor."""
    pairs = [(a.detach().cpu(), b.detach().cpu()) for a, b in zip(loop.parameters(), other.parameters(), strict=True)]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in pairs)


@every_method
def test_every_method_trains_and_waits_for_solvers_only(cls: type[Method], at: str) -> None:
    method, waits = example(cls), CountWaits()
    before = module()
    loop = train([LossBalancing(method, at=at), waits], limit_train_batches=3)  # type: ignore[arg-type]
    assert distance(loop, before) > 0
    assert waits.steps == 2
    if not method.adapter:
        most = MOST_WAITS if isinstance(method, GradientWeighting) else 0
        assert len(waits.waits) <= most * waits.steps, waits.waits


def test_a_plain_run_with_everything_on_never_waits_between_logging_steps(tmp_path: Path) -> None:
    callbacks = [*default_callbacks(tmp_path), EMA(0.9), waits := CountWaits()]
    train(callbacks, limit_train_batches=4, gradient_clip_val=1.0, enable_progress_bar=True)
    assert waits.steps == 3
    assert not waits.waits


@each_kind
@pytest.mark.parametrize("precision", ["bf16-mixed", pytest.param("16-mixed", marks=needs_cuda)])
def test_half_precision_trains_with_accumulation_and_clipping(cls: type[Method], at: str, precision: str) -> None:
    before = module()
    settings: dict[str, Any] = {"accumulate_grad_batches": 2, "gradient_clip_val": 5.0, "precision": precision}
    # the first loss scales may be too large, and their steps are skipped
    callbacks: list[Any] = [LossBalancing(example(cls), at=at), FiniteLosses()]  # type: ignore[arg-type]
    loop = train(callbacks, limit_train_batches=4, max_epochs=8, **settings)
    assert distance(loop, before) > 0


@pytest.mark.parametrize("at", PLACES)
def test_accumulated_gradients_are_those_of_the_cpu(at: str) -> None:
    settings: dict[str, Any] = {"accumulate_grad_batches": 2}
    here = train(balancing(at), module(norms()), **settings, accelerator="cpu")
    assert distance(train(balancing(at), module(norms()), **settings), here) < 1e-2


@pytest.mark.parametrize("at", PLACES)
def test_channels_last_changes_nothing(at: str) -> None:
    rows, filters_first = module(norms()), module(norms())
    filters_first.model.set_memory_format(channels_last=False)
    assert distance(train(balancing(at), rows), train(balancing(at), filters_first)) < 1e-2


class Weights(EMA):
    """Keeps the weights of every step on the side."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        first = next(iter(pl_module.parameters())).detach()
        self.seen: list[Tensor] = [*getattr(self, "seen", []), first.clone()]


def test_averaged_weights_lie_on_the_device_and_are_the_average(device: torch.device) -> None:
    start = next(iter(module().parameters())).detach().to(device)
    average = Weights(0.5, warmup=False)
    loop = train([average], limit_train_batches=3)
    expected = start
    for weights in average.seen:
        expected = 0.5 * expected + 0.5 * weights
    found = next(iter(loop.parameters()))
    assert average.seen[0].device.type == device.type
    torch.testing.assert_close(found.detach().cpu(), expected.cpu(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("at", ["none", "features"])
# dynamo looks at `.grad` of the features, to no effect
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_model_trains_as_a_plain_one(at: str) -> None:
    plain = train(balancing(at), module(norms()))
    loop = module(norms())
    loop.model.compile(backend="aot_eager" if REHEARSAL else "inductor")
    assert distance(train(balancing(at), loop), plain) < 2e-2


@pytest.mark.filterwarnings("ignore:.*deterministic")
@pytest.mark.parametrize("at", PLACES)
def test_a_resumed_run_ends_bit_equal(at: str, tmp_path: Path) -> None:
    method = UPGrad()
    callbacks: list[Any] = [EMA(0.9)] if at == "none" else [EMA(0.9), LossBalancing(method, at=at)]  # type: ignore[arg-type]
    settings: dict[str, Any] = {
        "limit_train_batches": 4, "max_epochs": 2, "accumulate_grad_batches": 2, "deterministic": "warn",
        "enable_checkpointing": False,
    }  # fmt: skip

    def loop() -> MultiTaskLightningModule:
        network = module(ResidualFPN(width=4, pyramid_width=8))
        network.optim = Optim(partial(torch.optim.AdamW, lr=0.01))
        return network

    unbroken = state(train([*callbacks, Save(tmp_path / "half.ckpt")], loop(), **settings), method)
    method = UPGrad()
    callbacks = [EMA(0.9)] if at == "none" else [EMA(0.9), LossBalancing(method, at=at)]  # type: ignore[arg-type]
    resumed = state(train(callbacks, loop(), tmp_path / "half.ckpt", **settings), method)
    for name, value in unbroken.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("at", PLACES)
def test_one_rank_of_ddp_does_what_one_process_does(at: str) -> None:
    plain = train(balancing(at), module(norms()))
    strategy = DDPStrategy(process_group_backend=BACKEND)
    assert distance(train(balancing(at), module(norms()), strategy=strategy), plain) < 1e-2


@pytest.mark.parametrize("at", PLACES)
def test_one_rank_of_shards_does_what_one_process_does(at: str) -> None:
    plain = train(balancing(at), module(norms()))
    loop = train(balancing(at), module(norms()), strategy=FullySharded(process_group_backend=BACKEND))
    shards = [value for value in loop.model.parameters() if hasattr(value, "placements")]
    assert shards
    assert {value.device.type for value in shards} == {DEVICE.type}
    whole = [value.full_tensor() if hasattr(value, "placements") else value for value in loop.parameters()]
    for value, expected in zip(whole, plain.parameters(), strict=True):
        torch.testing.assert_close(value.detach().cpu(), expected.detach().cpu(), rtol=1e-2, atol=1e-3)
