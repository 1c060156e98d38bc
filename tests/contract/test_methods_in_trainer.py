"""Every balancing method found, in Lightning's trainer: detection, classification twice, regression; labels missing."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mtl.backbones.backbone import Backbone
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.balancing.method import Method
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.features import Features
from mtl.module import MultiTaskLightningModule
from tests.contract.kit.methods import example
from tests.contract.kit.runs import (
    Save,
    Scenes,
    Watch,
    at_all_places,
    in_turns,
    module,
    one_of_each_kind,
    state,
    trainer,
)

every_method = pytest.mark.parametrize(("cls", "at"), at_all_places())
half, other_half = (pytest.mark.parametrize(("cls", "at"), in_turns(at_all_places(), turn, 2)) for turn in (0, 1))
each_kind = pytest.mark.parametrize(("cls", "at"), one_of_each_kind())


class Scaled(MixedPrecision):
    """A loss scaler as for 16 bits, on a network of 32 bits, so that nothing but the scale differs."""

    def __init__(self) -> None:
        super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))

    def forward_context(self) -> Any:
        return nullcontext()


class Checkpointed(Backbone):
    """A trunk whose activations are computed again in backward."""

    def __init__(self, use_reentrant: bool) -> None:
        super().__init__()
        self.inner = ResidualFPN(width=4, pyramid_width=8)
        self.spec = self.inner.spec
        self.use_reentrant = use_reentrant

    def forward(self, image: Tensor) -> Features:
        def run(image: Tensor) -> tuple[Tensor, ...]:
            return tuple(self.inner(image).values())

        # a reentrant pass needs an input with gradient
        levels = checkpoint(run, image.clone().requires_grad_(), use_reentrant=self.use_reentrant)
        return dict(zip(self.spec.channels, levels, strict=True))


def fit(
    cls: type[Method],
    at: str,
    loop: MultiTaskLightningModule | None = None,
    scenes: Scenes | None = None,
    callbacks: Any = (),
    ckpt_path: Path | None = None,
    **settings: Any,
) -> tuple[MultiTaskLightningModule, Method, Watch]:
    method, watch = example(cls), Watch()
    loop = loop or module()
    run = trainer([LossBalancing(method, at=at), watch, *callbacks], **{"max_epochs": 1, **settings})  # type: ignore[arg-type]
    run.fit(loop, scenes or Scenes(), ckpt_path=ckpt_path, weights_only=True if ckpt_path else None)
    return loop, method, watch


@other_half
def test_it_trains_with_accumulation_clipping_and_missing_labels_and_resumes_exactly(
    cls: type[Method], at: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"accumulate_grad_batches": 2, "gradient_clip_val": 5.0, "max_epochs": 2}
    before = module().state_dict()
    unbroken = state(*fit(cls, at, callbacks=[Save(tmp_path / "half.ckpt")], **settings)[:2])
    resumed = state(*fit(cls, at, ckpt_path=tmp_path / "half.ckpt", **settings)[:2])
    moved = [not torch.equal(before[name], unbroken[name]) for name in before if name.startswith("model.trunk")]
    assert any(moved)
    for name, value in unbroken.items():
        assert value.isfinite().all() or name.startswith("method."), name
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, equal_nan=True, msg=name)


@half
def test_neither_accumulation_nor_a_loss_scale_changes_what_it_sees(cls: type[Method], at: str) -> None:
    if example(cls).losses_after_step:
        pytest.skip("it learns at each optimiser step, of which there are fewer")
    # nothing moves but the method's own state, so that two batches of one step are those of two steps
    plain = fit(cls, at, module(lr=0.0), limit_train_batches=2)[2]
    other = fit(cls, at, module(lr=0.0), limit_train_batches=2, accumulate_grad_batches=2, plugins=[Scaled()])[2]
    assert plain.gradient.isfinite().all()
    scale = float(plain.gradient.abs().max())
    torch.testing.assert_close(2 * other.gradient, plain.gradient, rtol=1e-3, atol=2e-5 * scale)
    for here, there in zip(other.weights, plain.weights, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-5)


@every_method
def test_it_trains_in_bfloat16(cls: type[Method], at: str) -> None:
    loop, _, _ = fit(cls, at, limit_train_batches=1, precision="bf16-mixed")
    assert all(parameter.isfinite().all() for parameter in loop.parameters())


@pytest.mark.slow
# dynamo looks at `.grad` of the features, to no effect
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@each_kind
@pytest.mark.parametrize("compiled", [pytest.param("parts", marks=pytest.mark.nightly), "model"])
def test_a_compiled_model_trains_as_a_plain_one(cls: type[Method], at: str, compiled: str) -> None:
    torch.compiler.reset()
    plain, _, _ = fit(cls, at, limit_train_batches=2)
    loop = module()
    if compiled == "model":
        loop.model.compile(backend="aot_eager")
    else:
        loop.model.trunk.backbone.compile(backend="aot_eager")
        loop.model.head("parity").compile(backend="aot_eager")
    fit(cls, at, loop, limit_train_batches=2)
    same_parameters(loop, plain)


@each_kind
def test_activation_checkpointing_changes_nothing(cls: type[Method], at: str) -> None:
    torch.manual_seed(1)
    loop = module(Checkpointed(use_reentrant=False))
    torch.manual_seed(1)
    plain = module(ResidualFPN(width=4, pyramid_width=8))
    plain.model.trunk.backbone.load_state_dict(loop.model.trunk.backbone.inner.state_dict())
    plain.model.heads.load_state_dict(loop.model.heads.state_dict())
    fit(cls, at, loop, limit_train_batches=2)
    fit(cls, at, plain, limit_train_batches=2)
    loop.model.trunk.backbone = loop.model.trunk.backbone.inner
    same_parameters(loop, plain)


@each_kind
def test_reentrant_checkpointing_is_refused_where_it_cannot_work(cls: type[Method], at: str) -> None:
    run: Callable[[], Any] = lambda: fit(cls, at, module(Checkpointed(use_reentrant=True)), limit_train_batches=1)  # noqa: E731
    if at == "parameters":
        with pytest.raises(ValueError, match="reentrant activation checkpointing.*use_reentrant=False"):
            run()
    else:
        loop, _, _ = run()
        assert all(parameter.isfinite().all() for parameter in loop.parameters())


def same_parameters(loop: nn.Module, other: nn.Module) -> None:
    for (name, value), (_, expected) in zip(loop.named_parameters(), other.named_parameters(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
