"""Architectures in Lightning's trainer: DDP, FSDP2, schedules, resumes, a compiler."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from mtl.architectures.architecture import Architecture
from mtl.architectures.parts.pass_per_task import PassPerTask
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.balancing.uncertainty import Uncertainty
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.task_scheduling import TaskScheduling
from mtl.callbacks.distributed.fully_sharded import FullySharded
from mtl.module import MultiTaskLightningModule
from mtl.scheduling.round_robin import RoundRobin
from tests.conftest import RunRanks
from tests.contract.kit.architectures import ARCHITECTURES, batch, grounds_of, in_turn, model
from tests.contract.kit.law import assert_same, balanced
from tests.contract.kit.ranks import SAMPLES, STEPS, Team, double_precision, uneven, without_batch_norm
from tests.contract.kit.runs import Save, Scenes, module, trainer

ON_IMAGES = [cls for cls in ARCHITECTURES if "map" in grounds_of(cls)]


def loop_of(cls: type[Architecture]) -> MultiTaskLightningModule:
    loop = module(ResidualFPN(width=4, pyramid_width=8, blocks=2), architecture=cls.example)
    without_batch_norm(loop)
    return loop


def callbacks(cls: type[Architecture]) -> list[Any]:
    """Balancing and schedules in turn, so that every architecture meets some, and every one of them some."""
    turn = ARCHITECTURES.index(cls)
    found: list[Any] = [LossBalancing(UPGrad(), at="parameters")] if turn % 2 else []
    return [*found, *([TaskScheduling(RoundRobin(2))] if turn % 3 == 2 else [])]


def train(rank: int, ranks: int, cls: type[Architecture]) -> dict[str, Tensor]:
    scenes = Scenes(SAMPLES // ranks, num_train=SAMPLES * STEPS, kept=uneven())
    scenes.setup("fit")
    with double_precision():
        loop, settings = loop_of(cls), {}
        if ranks > 1:
            settings["strategy"] = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo")
        run = trainer(callbacks(cls), max_epochs=1, gradient_clip_val=1.0, devices=1, num_nodes=ranks, **settings)
        run.fit(loop, scenes)
        return loop.state_dict()


@pytest.mark.ddp
@in_turn(ON_IMAGES, 4)
def test_two_ranks_of_ddp_make_the_steps_of_one(cls: type[Architecture], run_ranks: RunRanks) -> None:
    whole = train(0, 1, cls)
    first, second = run_ranks(partial(train, cls=cls), 2)
    for name, value in whole.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)
        torch.testing.assert_close(first[name], value, rtol=1e-10, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


def resumable(cls: type[Architecture], path: Path | None, others: Any = ()) -> MultiTaskLightningModule:
    torch.manual_seed(0)
    loop = loop_of(cls)
    settings: dict[str, Any] = {} if path is None else {"ckpt_path": path, "weights_only": True}
    run = trainer([*callbacks(cls), *others], max_epochs=2, accumulate_grad_batches=2)
    run.fit(loop, Scenes(num_train=24), **settings)
    return loop


@in_turn(ON_IMAGES, 4, first=1)
def test_a_resumed_run_is_the_unbroken_one(cls: type[Architecture], tmp_path: Path) -> None:
    unbroken = resumable(cls, None, [Save(tmp_path / "half.ckpt")]).state_dict()
    resumed = resumable(cls, tmp_path / "half.ckpt").state_dict()
    for name, value in unbroken.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0, msg=name)


class Sharded(FullySharded):
    """On ranks that stand already."""

    def __init__(self, rank: int, ranks: int) -> None:
        super().__init__((), "gloo")
        self.cluster_environment = Team(rank, ranks)


def shard(rank: int, names: list[str]) -> list[dict[str, Tensor]]:
    found = []
    for cls in ON_IMAGES:
        if cls.__name__ in names:
            scenes = Scenes(SAMPLES // 2, num_train=SAMPLES * STEPS, kept=uneven())
            scenes.setup("fit")
            with double_precision():
                loop = loop_of(cls)
                run = trainer(
                    [LossBalancing(Uncertainty())], max_epochs=1, devices=1, num_nodes=2, strategy=Sharded(rank, 2)
                )
                run.fit(loop, scenes)
                state = loop.state_dict()
            found.append({name: _whole(value) for name, value in state.items()})
    return found


def _whole(value: Any) -> Tensor:
    full: Tensor = value.full_tensor() if hasattr(value, "placements") else value
    return full.detach().clone()


@pytest.mark.ddp
@in_turn(ON_IMAGES, 4, first=2)
def test_shards_make_the_steps_of_one_process(cls: type[Architecture], run_ranks: RunRanks) -> None:
    scenes = Scenes(SAMPLES, num_train=SAMPLES * STEPS, kept=uneven())
    scenes.setup("fit")
    with double_precision():
        loop = loop_of(cls)
        trainer([LossBalancing(Uncertainty())], max_epochs=1).fit(loop, scenes)
    (first,), _ = run_ranks(shard, [cls.__name__])
    for name, value in loop.state_dict().items():
        torch.testing.assert_close(first[name], value, rtol=1e-10, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture
def _walked_more_than_once() -> Any:
    """As `LossBalancing` sets it at the parameters: what a compiled trunk keeps for backward must stay."""
    before = torch._functorch.config.donated_buffer
    torch._functorch.config.donated_buffer = False
    torch.compiler.reset()
    yield
    torch._functorch.config.donated_buffer = before
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.usefixtures("_walked_more_than_once")
@in_turn(ARCHITECTURES, 8, first=3)
def test_compiled_it_gives_the_gradient_of_the_plain_one(cls: type[Architecture]) -> None:
    ground = grounds_of(cls)[-1]
    expected = balanced(model(cls, ground), batch(ground), "parameters")
    made = model(cls, ground)
    made.compile(backend="aot_eager")
    assert_same(balanced(made, batch(ground), "parameters"), expected, near=1e-5)


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.usefixtures("_walked_more_than_once")
def test_inductor_keeps_what_the_gradients_of_all_tasks_need() -> None:
    cls = next((cls for cls in ARCHITECTURES if issubclass(cls, PassPerTask)), ARCHITECTURES[0])
    ground = grounds_of(cls)[-1]
    expected = balanced(model(cls, ground), batch(ground), "parameters")
    made = model(cls, ground)
    made.compile(backend="inductor")
    assert_same(balanced(made, batch(ground), "parameters"), expected, near=1e-4)
