"""What a trainer may not have, and how many steps it makes."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    StochasticWeightAveraging,
)

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.balancing.uncertainty import Uncertainty
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.task_scheduling import TaskScheduling
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.image import ImageInput
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim
from mtl.runs.trainer_limits import stepping_batches
from mtl.scheduling.round_robin import RoundRobin
from tests.unit.callbacks.conftest import tiny_data, tiny_module, tiny_trainer
from tests.unit.callbacks.finetuning.test_freeze_parts import Thaw

REFUSED: dict[str, tuple[Callback, str]] = {
    "BackboneFinetuning": (BackboneFinetuning(), "FreezeParts, with parts: .backbone."),
    "BatchSizeFinder": (BatchSizeFinder(), "Set data.batch_size"),
    "EMAWeightAveraging": (EMAWeightAveraging(), "the callback EMA"),
    "LearningRateFinder": (LearningRateFinder(), "mtl sweep"),
    "ModelPruning": (ModelPruning("l1_unstructured"), "--quantize int8"),
    "StochasticWeightAveraging": (StochasticWeightAveraging(0.1), "the callback EMA"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_callbacks_that_cannot_work_are_refused_by_name_with_the_way_out(name: str) -> None:
    callback, way_out = REFUSED[name]
    with pytest.raises(ValueError, match=f"holds {name}, which cannot work here.*{way_out}"):
        tiny_trainer([callback]).fit(tiny_module(), tiny_data())


@pytest.mark.parametrize(("max_steps", "steps"), [(-1, 2 + 1 + 1), (3, 3)])
def test_steps_are_counted_where_accumulation_changes_between_epochs(max_steps: int, steps: int) -> None:
    run: Any = SimpleNamespace(
        estimated_stepping_batches=99,
        callbacks=[GradientAccumulationScheduler({0: 1, 1: 2})],
        num_training_batches=2,
        max_epochs=3,
        max_steps=max_steps,
    )
    assert stepping_batches(run) == steps
    run.callbacks = []
    assert stepping_batches(run) == 99


def lbfgs(**options: Any) -> Any:
    optim = Optim(
        partial(torch.optim.LBFGS, lr=0.1, max_iter=4), decay_matrices_only=False, schedule="constant", warmup_steps=0
    )
    return tiny_module(optim=optim, prepare={"image": partial(ImageInput, channels_last=False)}, **options)


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_lbfgs_lowers_the_loss_by_several_looks_at_each_batch() -> None:
    losses = []

    class Seen(Callback):
        def on_before_zero_grad(self, trainer: Any, *_: Any) -> None:
            losses.append(trainer.callback_metrics.get("train/loss"))

    run = tiny_trainer([Seen()], max_steps=2, overfit_batches=1)
    run.fit(lbfgs(), tiny_data())
    assert len(losses) > 4
    assert float(run.callback_metrics["train/loss"]) < float(next(loss for loss in losses if loss is not None))


@pytest.mark.parametrize(
    ("callbacks", "options", "told"),
    [
        ([LossBalancing(UPGrad())], {}, "and LossBalancing changes what is minimised"),
        ([TaskScheduling(RoundRobin())], {}, "and TaskScheduling changes what is minimised"),
        ([], {"accumulate_grad_batches": 2}, "would add up all of them"),
    ],
)
def test_lbfgs_is_refused_where_one_look_is_all_there_is(
    callbacks: list[Callback], options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        tiny_trainer(callbacks, **options).fit(lbfgs(), tiny_data())


def test_lbfgs_and_filters_that_lie_channels_last_are_refused() -> None:
    optim = Optim(partial(torch.optim.LBFGS, lr=0.1), decay_matrices_only=False, warmup_steps=0)
    wide = ResidualFPN(width=16, pyramid_width=8)  # narrower ones never lie so
    heads = {"boxes": CenterNetHead, "largest": ClassificationHead}
    module = MultiTaskLightningModule(tiny_data().tasks, wide, heads, optim=optim)
    with pytest.raises(ValueError, match=r"channels_last: false"):
        tiny_trainer().fit(module, tiny_data())


def test_learned_task_weights_and_groups_of_lightnings_are_refused() -> None:
    with pytest.raises(ValueError, match="the balancing method learns some of its own. Take the callback FreezeParts"):
        tiny_trainer([LossBalancing(Uncertainty()), Thaw()]).fit(tiny_module(), tiny_data())
