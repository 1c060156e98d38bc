"""FSDP2 over two ranks makes the steps of one process with both batches, plainly and balanced, gradients as shards."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from mtl.balancing.famo import FAMO
from mtl.balancing.graddrop import GradDrop
from mtl.balancing.method import Method
from mtl.balancing.mgda import MGDA
from mtl.balancing.pivrg import PIVRG
from mtl.balancing.protocols import GradientAggregation
from mtl.balancing.uncertainty import Uncertainty
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.balancing.task_scheduling import TaskScheduling
from mtl.callbacks.checkpoints.ema import EMA
from mtl.callbacks.distributed.fully_sharded import FullySharded
from mtl.optim import Optim
from mtl.scheduling.round_robin import RoundRobin
from tests.conftest import RunRanks
from tests.contract.kit.methods import example
from tests.contract.kit.ranks import (
    NEAR_64,
    SAMPLES,
    STEPS,
    Team,
    double_precision,
    uneven,
    without_batch_norm,
)
from tests.contract.kit.runs import Norms, Scenes, at_all_places, in_turns, module, trainer


class Sharded(FullySharded):
    """On ranks that stand already."""

    def __init__(self, rank: int, ranks: int, blocks: Any = ()) -> None:
        super().__init__(blocks, "gloo")
        self.cluster_environment = Team(rank, ranks)


def train(
    rank: int,
    ranks: int,
    cls: type[Method] | None,
    at: str,
    head_gradients: Any = None,
    every: int = 1,
    blocks: Any = (),
    ema: bool = False,
    scheduled: bool = False,
    clip: str = "norm",
) -> dict[str, Tensor]:
    scenes = Scenes(SAMPLES // ranks, num_train=2 * SAMPLES * STEPS, kept=uneven())
    scenes.setup("fit")  # drawn once, in 32 bits
    with double_precision():
        loop = module(Norms())
        without_batch_norm(loop)
        callbacks: list[Any] = []
        if cls is not None:
            callbacks = [LossBalancing(example(cls), at=at, head_gradients=head_gradients, every=every)]  # type: ignore[arg-type]
        if scheduled:
            callbacks.append(TaskScheduling(RoundRobin(2)))
        if ema:  # the average is validated between the epochs
            callbacks.append(EMA(0.5))
        settings: dict[str, Any] = {"strategy": Sharded(rank, ranks, blocks)} if ranks > 1 else {}
        run = trainer(
            callbacks,
            max_epochs=2 if ema else 1,
            limit_val_batches=1 if ema else 0,
            accumulate_grad_batches=2,
            gradient_clip_val=1.0 if clip == "norm" else 0.05,
            gradient_clip_algorithm=clip,
            devices=1,
            num_nodes=ranks,
            **settings,
        )
        run.fit(loop, scenes)
        if ranks > 1:
            shards = [parameter for parameter in loop.parameters() if hasattr(parameter, "placements")]
            assert len(shards) == len(list(loop.model.parameters()))
        return {name: whole(value) for name, value in loop.state_dict().items()}


def whole(value: Any) -> Tensor:
    full: Tensor = value.full_tensor() if hasattr(value, "placements") else value
    return full.detach().clone()


CASES = {
    "plain": (None, "features"),
    "learned weights": (Uncertainty, "features"),
    "features": (UPGrad, "features"),
    "features, weighted heads": (MGDA, "features", "weighted"),
    "features, kept weights": (MGDA, "features", "weighted", 2),
    "features, whole gradients": (GradDrop, "features"),
    "features, averaged weights": (MGDA, "features", "own", 1, (), True),
    "a look back at the losses, averaged weights": (FAMO, "features", None, 1, (), True),
    "features, two tasks at a step": (UPGrad, "features", "own", 1, (), False, True),
    "plain, two tasks at a step": (None, "features", None, 1, (), False, True),
    "parameters, two tasks at a step": (UPGrad, "parameters", "own", 1, (), False, True),
    "parameters": (UPGrad, "parameters"),
    "parameters, weighted heads": (MGDA, "parameters", "weighted"),
    "parameters, kept weights": (MGDA, "parameters", "own", 2),
    "parameters, block by block": (UPGrad, "parameters", "own", 1, ("Sequential",)),
}


@pytest.mark.ddp
@pytest.mark.parametrize("case", CASES)
def test_shards_make_the_steps_of_one_process(case: str, run_ranks: RunRanks) -> None:
    compare(run_ranks, *CASES[case])


@pytest.mark.nightly
@pytest.mark.ddp
@pytest.mark.parametrize("cls", [None, Uncertainty, UPGrad])
def test_shards_are_clipped_by_value_as_one_process_is(cls: type[Method] | None, run_ranks: RunRanks) -> None:
    compare(run_ranks, cls, "features", None, 1, (), False, False, "value")


@pytest.mark.ddp
@pytest.mark.parametrize(("cls", "at"), in_turns(at_all_places(), 3, 4))
def test_shards_obey_every_method_or_are_refused_by_name(cls: type[Method], at: str, run_ranks: RunRanks) -> None:
    example(cls)  # skips where a package is missing
    if at == "parameters" and issubclass(cls, GradientAggregation):
        for message in run_ranks(refusal, 2, cls):
            assert f"{cls.__name__} at='parameters' needs the whole gradient" in message
            assert "strategy ddp, take at='features'" in message
    else:
        compare(run_ranks, cls, at)


def compare(run_ranks: RunRanks, *settings: Any) -> None:
    one = train(0, 1, *settings)
    first, second = run_ranks(train, 2, *settings)
    for name, value in one.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)
        torch.testing.assert_close(first[name], value, rtol=NEAR_64, atol=NEAR_64, msg=lambda m, n=name: f"{n} {m}")


@pytest.mark.ddp
@pytest.mark.parametrize("optimizer", [AdamW, SGD])
def test_a_run_of_shards_resumes_to_the_last_bit_with_averages_and_balancing(
    run_ranks: RunRanks, tmp_path: Path, optimizer: type[Optimizer]
) -> None:
    unbroken = run_ranks(resumable, 2, str(tmp_path / "half.ckpt"), False, optimizer)
    resumed = run_ranks(resumable, 2, str(tmp_path / "half.ckpt"), True, optimizer)
    assert resumed[0].keys() == unbroken[0].keys()
    for name, value in unbroken[0].items():
        torch.testing.assert_close(resumed[0][name], value, rtol=0, atol=0, msg=name)


def resumable(rank: int, ranks: int, path: str, resume: bool, optimizer: type[Optimizer]) -> dict[str, Tensor]:
    torch.manual_seed(rank + 10 * resume)  # weights of rank 0 for all, and then those of the file
    loop = module(Norms())
    loop.optim = Optim(partial(optimizer, lr=0.01))  # type: ignore[call-arg]
    scenes = Scenes(2, num_train=16)
    callbacks = [EMA(0.9), LossBalancing(PIVRG(), at="parameters"), SaveOnce(path)]
    run = trainer(callbacks, max_epochs=2, devices=1, num_nodes=ranks, strategy=Sharded(rank, ranks))
    run.fit(loop, scenes, ckpt_path=path if resume else None, weights_only=True if resume else None)
    return {name: whole(value) for name, value in loop.state_dict().items()}


class SaveOnce(Callback):
    """A checkpoint in the middle of the first epoch."""

    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 2:
            trainer.save_checkpoint(self.path)


@pytest.mark.ddp
def test_blocks_that_are_not_there_are_answered(run_ranks: RunRanks) -> None:
    for message in run_ranks(refused_blocks, 2):
        assert "gather 'Sequentail' block by block, and the trunk has no module of that class" in message
        assert "Did you mean 'Sequential'?" in message


def refused_blocks(rank: int, ranks: int) -> str:
    with pytest.raises(ValueError, match=".") as caught:
        train(rank, ranks, None, "features", None, 1, ["Sequentail"])
    return str(caught.value)


def refusal(rank: int, ranks: int, cls: type[Method]) -> str:
    with pytest.raises(ValueError, match=".") as caught:
        train(rank, ranks, cls, "parameters")
    return str(caught.value)
