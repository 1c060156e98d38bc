"""The law: one step on N ranks is the step of one process with the N-fold batch, for every balancing method found.

Labels lie unevenly: in the first step a rank has no count and no boxes, in others a task is missing on both. The trunk
has group norms; batch norms see the batch of their own rank, which differs by nature (`SyncBatchNorm` is for that).
"""

from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from mtl.balancing.method import Method
from mtl.balancing.mgda import MGDA
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from tests.conftest import RunRanks
from tests.contract.kit.methods import example
from tests.contract.kit.ranks import NEAR_64, SAMPLES, STEPS, Team, double_precision, uneven, without_batch_norm
from tests.contract.kit.runs import Norms, Scenes, at_all_places, in_turns, module, state, trainer


def train(
    rank: int,
    ranks: int,
    cls: type[Method],
    at: str,
    head_gradients: Any = None,
    every: int = 1,
    bits: int = 64,
    seed_by_rank: bool = False,
    **settings: Any,
) -> dict[str, Tensor]:
    scenes = Scenes(SAMPLES // ranks, num_train=2 * SAMPLES * STEPS, kept=uneven())
    scenes.setup("fit")  # drawn once, in 32 bits
    with double_precision() if bits == 64 else nullcontext():
        method = example(cls)
        torch.manual_seed(0)
        loop = module(Norms())
        without_batch_norm(loop)
        if seed_by_rank:
            for value in loop.parameters():
                value.data += rank
        balancing = LossBalancing(method, at=at, head_gradients=head_gradients, every=every)  # type: ignore[arg-type]
        if ranks > 1:
            settings["strategy"] = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo")
        common: dict[str, Any] = {"max_epochs": 1, "accumulate_grad_batches": 2, "gradient_clip_val": 1.0}
        run = trainer([balancing], devices=1, num_nodes=ranks, **common, **settings)
        run.fit(loop, scenes)
        return state(loop, method)


@pytest.mark.ddp
@pytest.mark.parametrize(("cls", "at"), at_all_places())
def test_two_ranks_make_the_steps_of_one_with_both_batches(cls: type[Method], at: str, run_ranks: RunRanks) -> None:
    compare(run_ranks, 2, NEAR_64, cls, at)


@pytest.mark.ddp
@pytest.mark.parametrize(("cls", "at"), in_turns(at_all_places(), 0, 4))
def test_four_ranks_do_it_too(cls: type[Method], at: str, run_ranks: RunRanks) -> None:
    compare(run_ranks, 4, NEAR_64, cls, at)


@pytest.mark.ddp
def test_ranks_that_began_with_other_weights_train_those_of_rank_0(run_ranks: RunRanks) -> None:
    # at the parameters DDP does not know the backbone
    first, second = run_ranks(partial(train, seed_by_rank=True), 2, MGDA, "parameters")
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0, equal_nan=True, msg=name)


@pytest.mark.ddp
@pytest.mark.parametrize(("at", "head_gradients"), [("features", "weighted"), ("parameters", "own")])
def test_kept_weights_and_the_other_convention_for_heads_obey_it_too(
    at: str, head_gradients: str, run_ranks: RunRanks
) -> None:
    compare(run_ranks, 2, NEAR_64, MGDA, at, head_gradients, 2)


@pytest.mark.ddp
@pytest.mark.parametrize(("cls", "at"), in_turns(at_all_places(), 1, 4))
def test_32_bits_differ_by_their_rounding(cls: type[Method], at: str, run_ranks: RunRanks) -> None:
    compare(run_ranks, 2, 1e-6, cls, at, bits=32)


@pytest.mark.ddp
@pytest.mark.parametrize(("cls", "at"), in_turns(at_all_places(), 2, 4))
def test_bfloat16_differs_by_its_rounding(cls: type[Method], at: str, run_ranks: RunRanks) -> None:
    # 8 bits: steps of lr 0.05 with clipped gradients move a weight by 0.05, of which 0.0025 were measured as rounding,
    # with GradVac, whose thresholds make jumps of it
    compare(run_ranks, 2, 5e-3, cls, at, bits=32, precision="bf16-mixed")


def compare(
    run_ranks: RunRanks, ranks: int, near: float, cls: type[Method], at: str, *more: Any, **settings: Any
) -> None:
    example(cls)  # skips where a package is missing
    whole = train(0, 1, cls, at, *more, **settings)
    first, *others = run_ranks(partial(train, **settings), ranks, cls, at, *more, ranks=ranks)
    for name, value in whole.items():
        for other in others:
            torch.testing.assert_close(other[name], first[name], rtol=0, atol=0, equal_nan=True, msg=name)
        if value.is_floating_point():
            assert value.dtype == torch.float64 or near > NEAR_64, name
            # cosines that a method remembers are no steps of lr 0.05
            bound = 5 * near if settings.get("precision") and name.startswith("method.") else near
            atol = bound * max(1.0, float(value.nan_to_num().abs().max()))
            torch.testing.assert_close(
                first[name], value, rtol=bound, atol=atol, equal_nan=True, msg=lambda text, name=name: f"{name}: {text}"
            )
