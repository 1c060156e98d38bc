"""The trainer's balanced step against one written by hand; refusals; resuming; kept weights."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.balancing.cagrad import CAGrad
from mtl.balancing.equal import Equal
from mtl.balancing.graddrop import GradDrop
from mtl.balancing.method import Method
from mtl.balancing.mgda import MGDA
from mtl.balancing.moco import MoCo
from mtl.balancing.protocols import GradientAggregation, GradientWeighting, LossWeighting
from mtl.balancing.scale_invariant import ScaleInvariant
from mtl.balancing.transformed import TransformedWeighting
from mtl.balancing.uncertainty import Uncertainty
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.checkpoints.ema import EMA
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim


def data() -> DigitScenes:
    return DigitScenes(["largest", "parity"], 8, 4, 4, 32, max_digit_px=16, max_digits=2, batch_size=4)


def module(**options: Any) -> MultiTaskLightningModule:
    torch.manual_seed(0)
    heads = {"boxes": CenterNetHead, "largest": ClassificationHead, "parity": ClassificationHead}
    optim = Optim(partial(torch.optim.SGD, lr=0.1), schedule="constant", warmup_steps=0)
    return MultiTaskLightningModule(data().tasks, ResidualFPN(width=4, pyramid_width=8), heads, optim=optim, **options)


def trainer(*callbacks: Callback, **options: Any) -> Trainer:
    silent = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return Trainer(
        callbacks=list(callbacks), accelerator="cpu", limit_val_batches=0, **{"max_epochs": 1, **silent, **options}
    )  # type: ignore[arg-type]


class Grab(Callback):
    """The batch and the gradients of the first step."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.batch = batch

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.gradients = {name: p.grad.clone() for name, p in pl_module.model.named_parameters()}


def by_hand(loop: MultiTaskLightningModule, batch: Any, method: Method, at: str, heads: str) -> dict[str, Tensor]:
    """One backward for each task, an explicit Gramian, an explicit sum."""
    model = loop.model
    shared = dict(model.trunk.named_parameters())
    features = model.cut(batch)
    # levels of their own for the heads: in the trunk one level comes from another
    cut = (
        {level: value.detach().requires_grad_() for level, value in features.items()} if at == "features" else features
    )
    outputs = {name: model.head(name)(cut) for name in model.heads}
    losses = list(model.losses(outputs, batch).values())
    losses_K = torch.stack(losses).detach()
    method.build(len(losses))
    wanted = list(cut.values()) if at == "features" else list(shared.values())
    rows = [torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True) for loss in losses]
    rows_KP = torch.stack(
        [
            torch.cat([torch.zeros(x.numel()) if g is None else g.flatten() for g, x in zip(row, wanted, strict=True)])
            for row in rows
        ]
    )
    own_K = method.head_weights(losses_K)
    if isinstance(method, LossWeighting):
        own_K = weights_K = method.weights(losses_K)
        combined_P = weights_K @ rows_KP
    elif isinstance(method, GradientWeighting):
        weights_K = method((rows_KP.double() @ rows_KP.double().T), losses_K).float()
        combined_P = weights_K @ rows_KP
    else:
        assert isinstance(method, GradientAggregation)
        combined_P = method(rows_KP, losses_K)
    factor_K = weights_K if heads == "weighted" else own_K
    parts = [part.view(x.shape) for part, x in zip(combined_P.split([x.numel() for x in wanted]), wanted, strict=True)]
    if at == "features":
        parts = list(torch.autograd.grad(list(features.values()), list(shared.values()), parts))
    out = {f"trunk.{name}": part for name, part in zip(shared, parts, strict=True)}
    for name, loss, factor in zip(model.heads, losses, factor_K, strict=True):
        own = dict(model.heads[name].named_parameters())
        grads = torch.autograd.grad(loss, list(own.values()), retain_graph=True)
        out |= {f"heads.{name}.{key}": grad * factor for key, grad in zip(own, grads, strict=True)}
    return out


@pytest.mark.parametrize(
    "make", [CAGrad, partial(TransformedWeighting, ScaleInvariant(), MGDA())], ids=["plain", "log"]
)
@pytest.mark.parametrize("at", ["features", "parameters"])
@pytest.mark.parametrize("heads", ["own", "weighted"])
def test_the_step_is_that_written_by_hand(make: Any, at: Any, heads: Any) -> None:
    compare(make(), make(), at, heads)


@pytest.mark.parametrize(("make", "at"), [(MoCo, "parameters"), (GradDrop, "parameters")])
def test_the_step_of_an_aggregation_is_that_written_by_hand(make: Any, at: Any) -> None:
    compare(make(), make(), at, "own")


def test_the_step_of_a_loss_method_is_that_written_by_hand() -> None:
    compare(Uncertainty(), Uncertainty(), "features", None)


def compare(method: Method, same: Method, at: Any, heads: Any) -> None:
    grab = Grab()
    trainer(LossBalancing(method, at=at, head_gradients=heads), grab, limit_train_batches=1).fit(module(), data())
    expected = by_hand(module(), grab.batch, same, at, heads)
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(
            grab.gradients[name], value, rtol=1e-3, atol=1e-5 * scale, msg=lambda m, n=name: f"{n} {m}"
        )


def test_kept_weights_cost_no_question_and_survive_a_resume(tmp_path: Path) -> None:
    asked: list[int] = []

    class Counted(CAGrad):
        def weigh(self, *arguments: Any) -> Tensor:
            asked.append(1)
            return super().weigh(*arguments)

    class Save(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.global_step == 1:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    whole, rest = module(), module()
    trainer(LossBalancing(Counted(), at="parameters", every=3), Save(), max_epochs=2).fit(whole, data())
    assert len(asked) == 2  # at steps 0 and 3 of 4
    run = trainer(LossBalancing(Counted(), at="parameters", every=3), max_epochs=2)
    run.fit(rest, data(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert len(asked) == 3
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(rest.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_a_balanced_checkpoint_loads_without_the_callback_and_goes_well_with_ema(tmp_path: Path) -> None:
    run = trainer(LossBalancing(Uncertainty()), EMA(0.5))
    run.fit(module(), data())
    path = tmp_path / "balanced.ckpt"
    run.save_checkpoint(path)
    state = torch.load(path, weights_only=True)
    assert set(state["state_dict"]) == set(module().state_dict())
    module().load_state_dict(state["state_dict"])
    assert state["balancing"]["method"]["log_variances"].any()
    trainer(EMA(0.5)).test(module(), data(), ckpt_path=path, verbose=False, weights_only=True)


def test_weights_and_status_are_logged() -> None:
    run = trainer(LossBalancing(CAGrad()))
    run.fit(module(), data())
    assert {"weights/boxes", "weights/largest", "weights/parity", "balancing/status"} <= set(run.callback_metrics)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": CAGrad(), "every": 0}, "every=0 must be at least 1"),
        ({"method": Equal(), "every": 2}, "Equal sees losses only.*remove them"),
        ({"method": MoCo()}, "MoCo works at parameters, not at 'features'"),
        ({"method": GradDrop(), "every": 2}, "GradDrop gives no weights that could be kept"),
    ],
)
def test_rejects_settings_without_effect(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossBalancing(**settings)


def test_rejects_two_of_them_fixed_weights_beside_them_and_a_frozen_trunk() -> None:
    with pytest.raises(ValueError, match="LossBalancing 2 times, with CAGrad and Equal"):
        trainer(LossBalancing(CAGrad()), LossBalancing(Equal())).fit(module(), data())
    with pytest.raises(ValueError, match="loss_weights {'parity': 0.5} have no effect"):
        trainer(LossBalancing(Equal())).fit(module(loss_weights={"parity": 0.5}), data())
    frozen = module()
    frozen.model.trunk.requires_grad_(False)
    with pytest.raises(ValueError, match="needs shared parameters that learn"):
        trainer(LossBalancing(CAGrad(), at="parameters")).fit(frozen, data())


def test_rejects_to_go_on_with_another_method(tmp_path: Path) -> None:
    run = trainer(LossBalancing(CAGrad()))
    run.fit(module(), data())
    run.save_checkpoint(tmp_path / "cagrad.ckpt")
    other = trainer(LossBalancing(Equal()), max_epochs=2)
    with pytest.raises(ValueError, match="balanced by CAGrad; LossBalancing has Equal"):
        other.fit(module(), data(), ckpt_path=tmp_path / "cagrad.ckpt", weights_only=True)


def test_rejects_weights_of_heads_from_a_method_that_has_none() -> None:
    with pytest.raises(ValueError, match="GradDrop gives a combined gradient and no weights for the heads"):
        trainer(LossBalancing(GradDrop(), head_gradients="weighted")).fit(module(), data())
