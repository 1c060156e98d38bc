"""Parts that are frozen and learn later, under every place where gradients are balanced."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from mtl.balancing.db_mtl import DBMTL
from mtl.balancing.equal import Equal
from mtl.balancing.excess_mtl import ExcessMTL
from mtl.balancing.method import Method
from mtl.balancing.moco import MoCo
from mtl.balancing.nash_mtl import NashMTL
from mtl.balancing.transformed import TransformedWeighting
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.finetuning.freeze_parts import FreezeParts
from mtl.callbacks.finetuning.learning_parameters import LearningParameters
from mtl.module import MultiTaskLightningModule
from mtl.optim import Optim
from tests.conftest import RunRanks
from tests.contract.kit.ranks import NEAR_64, SAMPLES, Team, double_precision, without_batch_norm
from tests.contract.kit.ranks import STEPS as OPTIMISER_STEPS
from tests.contract.kit.runs import Norms, Scenes, trainer
from tests.contract.kit.runs import module as module_of_four

STEPS, LEARNS_AT = 5, 2


def thawing() -> FreezeParts:
    return FreezeParts(["backbone"], steps=LEARNS_AT)


class Thaw(BaseFinetuning):
    """Lightning's own way, at a step of ours, with a group of its own."""

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        self.freeze(pl_module.model.trunk, train_bn=False)

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.model.trunk, optimizer, lr=0.02)


def sgd() -> Optim:
    return Optim(partial(torch.optim.SGD, lr=0.1, momentum=0.9), warmup_steps=0)


def weights_after(tiny: Any, callbacks: list[Callback], seed: int = 3, **options: Any) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    module = tiny.module(optim=sgd())
    ckpt_path = options.pop("ckpt_path", None)
    run = tiny.trainer([*callbacks, LearningParameters()], **{"max_steps": STEPS} | options)
    run.fit(module, tiny.data(), ckpt_path=ckpt_path, weights_only=True)
    return {name: value.clone() for name, value in module.model.state_dict().items()}


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor], near: float) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=near, atol=near, msg=lambda m, n=name: f"{n}: {m}")


EQUAL: dict[str, Callable[[], LossBalancing]] = {
    "features": lambda: LossBalancing(TransformedWeighting(Equal())),
    "weighted": lambda: LossBalancing(TransformedWeighting(Equal()), head_gradients="weighted"),
    "parameters": lambda: LossBalancing(TransformedWeighting(Equal()), at="parameters"),
}


@pytest.mark.parametrize("freeze", [thawing, Thaw])
@pytest.mark.parametrize("place", EQUAL)
def test_equal_weights_are_plain_training_before_and_after_a_part_learns(
    tiny: Any, place: str, freeze: Callable[[], Callback]
) -> None:
    options = {"limit_train_batches": LEARNS_AT}
    plain = weights_after(tiny, [freeze()], **options)
    assert_near(weights_after(tiny, [EQUAL[place](), freeze()], **options), plain, 2e-5)
    assert_near(weights_after(tiny, [freeze(), EQUAL[place]()], **options), plain, 2e-5)


@pytest.mark.parametrize("method", [lambda: LossBalancing(NashMTL()), lambda: LossBalancing(UPGrad(), at="parameters")])
def test_a_method_on_gradients_waits_for_a_trunk_that_learns(tiny: Any, method: Callable[[], LossBalancing]) -> None:
    class Watch(Callback):
        def __init__(self) -> None:
            self.seen: list[bool] = []

        def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
            node = next(c for c in trainer.callbacks if isinstance(c, LossBalancing)).gradients  # type: ignore[attr-defined]
            self.seen.append(node is not None and node.weights is not None)

    watch = Watch()
    weights_after(tiny, [thawing(), method(), watch])
    assert watch.seen == [False, False, True, True, True]


@pytest.mark.parametrize("method", [MoCo, DBMTL, ExcessMTL])
def test_a_method_that_keeps_rows_of_gradients_is_refused_where_they_grow(
    tiny: Any, method: Callable[[], Method]
) -> None:
    def train(*freeze: FreezeParts) -> None:
        weights_after(tiny, [LossBalancing(method(), at="parameters"), *freeze])

    for freeze in ([FreezeParts(["backbone.stem"], steps=2)], [thawing(), FreezeParts(["backbone.stem"], steps=4)]):
        with pytest.raises(ValueError, match=r"keeps numbers for each shared parameter .*model\.init_from"):
            train(*freeze)
    train(FreezeParts(["backbone.stem"]), FreezeParts(["heads.boxes"], steps=2))
    train(thawing())


def test_frozen_parts_and_their_statistics_stand_still_and_then_move(tiny: Any) -> None:
    torch.manual_seed(3)
    start = tiny.module(optim=sgd()).model.state_dict()
    frozen = weights_after(tiny, [FreezeParts(["backbone"])])
    heads = [name for name in start if name.startswith("heads.") and start[name].is_floating_point()]
    trunk = [name for name in start if name.startswith("trunk.")]
    assert trunk
    assert all(torch.equal(frozen[name], start[name]) for name in trunk)
    assert any(not torch.equal(frozen[name], start[name]) for name in heads)
    later = weights_after(tiny, [thawing()])
    assert all(not torch.equal(later[name], start[name]) for name in trunk if "running" in name or "conv" in name)


@pytest.mark.parametrize("inner_first", [True, False])
def test_a_part_within_a_part_may_learn_later_in_any_order(tiny: Any, inner_first: bool) -> None:
    moved: dict[str, list[int]] = {"stem": [], "blocks": []}

    class Watch(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
            self.before = {name: value.clone() for name, value in pl_module.model.state_dict().items()}

        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            now = {name: value.clone() for name, value in pl_module.model.state_dict().items()}
            for part, steps in moved.items():
                names = [name for name in now if name.startswith(f"trunk.backbone.{part}.")]
                if any(not torch.equal(now[name], self.before[name]) for name in names):
                    steps.append(trainer.global_step)
            self.before = now

    inner, outer = FreezeParts(["backbone.stem"], steps=4), FreezeParts(["backbone"], steps=LEARNS_AT)
    weights_after(tiny, [*((inner, outer) if inner_first else (outer, inner)), Watch()])
    assert moved == {"stem": [5], "blocks": [3, 4, 5]}


@pytest.mark.parametrize("freeze", [thawing, lambda: FreezeParts(["backbone"], epochs=1), Thaw])
@pytest.mark.parametrize("at_step", [1, LEARNS_AT, 4])
def test_a_resumed_run_freezes_and_learns_as_the_one_that_was_not_stopped(
    tiny: Any, tmp_path: Path, freeze: Callable[[], Callback], at_step: int
) -> None:
    class Save(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == at_step:
                trainer.save_checkpoint(tmp_path / "state.ckpt")

    options = {"limit_train_batches": LEARNS_AT}
    whole = weights_after(tiny, [freeze(), LossBalancing(UPGrad()), Save()], **options)
    resumed = weights_after(
        tiny, [freeze(), LossBalancing(UPGrad())], seed=8, ckpt_path=tmp_path / "state.ckpt", **options
    )
    assert_near(resumed, whole, 0.0)


def test_a_parameter_that_learns_without_a_group_ends_the_run(tiny: Any) -> None:
    class Careless(Thaw):
        def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: torch.optim.Optimizer) -> None:
            if epoch == 1:
                pl_module.requires_grad_(True)

    with pytest.raises(ValueError, match=r"began to learn at step 2, and no group of the optimiser holds it"):
        weights_after(tiny, [Careless()], limit_train_batches=LEARNS_AT)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"parts": []}, "needs parts"),
        ({"parts": ["backbone"], "epochs": 0}, "must be at least 1"),
        ({"parts": ["backbone"], "epochs": 1, "steps": 2}, "give one of them"),
    ],
)
def test_settings_without_meaning_are_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FreezeParts(**arguments)


def test_unknown_parts_and_all_parts_are_refused(tiny: Any) -> None:
    with pytest.raises(ValueError, match=r"no parameter is in part 'backbon'. Did you mean 'backbone'?"):
        weights_after(tiny, [FreezeParts(["backbon"])])
    with pytest.raises(ValueError, match="freezes all that learns"):
        weights_after(tiny, [FreezeParts(["backbone", "heads"])])


def on_two_ranks(**more: Any) -> Any:
    return SimpleNamespace(world_size=2, callbacks=[], optimizers=[], current_epoch=0, global_step=3, **more)


def test_parts_that_learn_later_are_refused_over_shards_and_parts_that_never_do_are_not(tiny: Any) -> None:
    with pytest.raises(ValueError, match="several ranks under DDP alone.*is SimpleNamespace.*model.init_from"):
        thawing().setup(on_two_ranks(strategy=SimpleNamespace()), tiny.module(), "fit")
    for_good, module = FreezeParts(["backbone"]), tiny.module()
    for_good.setup(on_two_ranks(), module, "fit")
    assert not any(p.requires_grad for p in module.model.trunk.parameters())


def test_what_another_callback_lets_learn_over_ranks_ends_the_run_by_name(tiny: Any) -> None:
    module, follower = tiny.module(), LearningParameters()
    frozen = next(iter(module.model.trunk.parameters())).requires_grad_(False)
    follower.on_train_start(on_two_ranks(), module)
    follower.on_train_batch_start(on_two_ranks(), module, None, 0)
    frozen.requires_grad_(True)
    with pytest.raises(ValueError, match="began to learn at step 3, and DDP averages only.*FreezeParts of mtl"):
        follower.on_train_batch_start(on_two_ranks(), module, None, 1)


def frozen_run(rank: int, ranks: int, place: str, steps: int | None = None) -> dict[str, Tensor]:
    scenes = Scenes(SAMPLES // ranks, num_train=2 * SAMPLES * OPTIMISER_STEPS)
    scenes.setup("fit")
    torch.manual_seed(0)  # for the trunk
    with double_precision():
        loop = module_of_four(Norms())
        without_batch_norm(loop)
        options: dict[str, Any] = {"devices": 1, "num_nodes": ranks}
        if ranks > 1:
            cluster = Team(rank, ranks)
            options["strategy"] = DDPStrategy(cluster_environment=cluster, process_group_backend="gloo")
        callbacks = [FreezeParts(["backbone.fine", "heads.parity"], steps=steps), LearningParameters()]
        trainer([*callbacks, *([EQUAL[place]()] if place else [])], max_epochs=1, **options).fit(loop, scenes)
        return {name: value.detach().clone() for name, value in loop.state_dict().items()}


@pytest.mark.nightly
@pytest.mark.ddp
@pytest.mark.parametrize("place", ["", *EQUAL])
def test_parts_that_never_learn_make_the_steps_of_one_process_over_two_ranks(place: str, run_ranks: RunRanks) -> None:
    assert_one_process(run_ranks, place)


@pytest.mark.ddp
@pytest.mark.parametrize("place", ["", *(pytest.param(place, marks=pytest.mark.nightly) for place in EQUAL)])
def test_parts_that_learn_later_make_the_steps_of_one_process_over_two_ranks(place: str, run_ranks: RunRanks) -> None:
    before = frozen_run(0, 1, place)
    after = assert_one_process(run_ranks, place, steps=1)
    for part in ("backbone.fine", "heads.parity"):
        assert any(part in name and not torch.equal(before[name], value) for name, value in after.items()), part


def assert_one_process(run_ranks: RunRanks, place: str, steps: int | None = None) -> dict[str, Tensor]:
    one = frozen_run(0, 1, place, steps)
    first, second = run_ranks(frozen_run, 2, place, steps)
    for name, value in one.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)
        torch.testing.assert_close(first[name], value, rtol=NEAR_64, atol=NEAR_64)
    return one
