"""The law: one step on two ranks is the step of one process with both batches, for every balancing method found.

Labels lie unevenly: in the first step a rank has no count and no boxes, in others a task is missing on both. The trunk
has group norms; batch norms see the batch of their own rank, which differs by nature (`SyncBatchNorm` is for that).
"""

from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from mtl.balancing.method import Method
from mtl.balancing.mgda import MGDA
from mtl.callbacks.loss_balancing import LossBalancing
from mtl.data.sampling import EpochSampler
from tests.conftest import RunRanks
from tests.contract.balanced_run import Norms, Scenes, at_all_places, example, module, state, trainer

PER_RANK, STEPS = 2, 3


class Team(LightningEnvironment):
    """Ranks that stand already."""

    def __init__(self, rank: int, ranks: int) -> None:
        super().__init__()
        self.rank = rank
        self.set_global_rank(rank)
        self.set_world_size(ranks)

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def node_rank(self) -> int:
        return self.rank  # as nodes of one process

    def local_rank(self) -> int:
        return 0


def train(rank: int, ranks: int, cls: type[Method], at: str, head_gradients: Any, every: int) -> dict[str, Tensor]:
    batch_size = PER_RANK * 2 // ranks
    scenes = Scenes(batch_size, num_train=2 * PER_RANK * 2 * STEPS, kept=uneven())
    method = example(cls)
    torch.manual_seed(0)
    loop = module(Norms())
    without_batch_norm(loop)
    balancing = LossBalancing(method, at=at, head_gradients=head_gradients, every=every)  # type: ignore[arg-type]
    strategy: Any = "auto"
    if ranks > 1:
        strategy = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo")
    run = trainer(
        [balancing],
        max_epochs=1,
        accumulate_grad_batches=2,
        gradient_clip_val=1.0,
        strategy=strategy,
        devices=1,
        num_nodes=ranks,
    )
    run.fit(loop, scenes)
    return state(loop, method)


def without_batch_norm(part: nn.Module) -> None:
    for name, child in part.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(part, name, nn.GroupNorm(1, child.num_features))
        else:
            without_batch_norm(child)


def uneven() -> dict[str, set[int]]:
    """Which scenes keep the labels of a task, by their place in the order of the first epoch."""
    order = [index for _, index in EpochSampler(range(2 * PER_RANK * 2 * STEPS))]  # type: ignore[arg-type]
    even, odd = set(order[::2]), set(order[1::2])  # what rank 0 and rank 1 get
    first = set(order[:8])
    return {
        "boxes": even | (odd - first),  # none on rank 1 in the first step
        "count": odd - set(order[8:12]),  # never on rank 0, and once on nobody
        "largest": set(order) - set(order[:3]),
        "parity": set(order),
    }


@pytest.mark.ddp
@pytest.mark.parametrize(("cls", "at"), at_all_places())
def test_two_ranks_make_the_steps_of_one_with_both_batches(cls: type[Method], at: str, run_ranks: RunRanks) -> None:
    compare(run_ranks, cls, at, None, 1)


@pytest.mark.ddp
@pytest.mark.parametrize(("at", "head_gradients"), [("features", "weighted"), ("parameters", "own")])
def test_kept_weights_and_the_other_convention_for_heads_obey_it_too(
    at: str, head_gradients: str, run_ranks: RunRanks
) -> None:
    compare(run_ranks, MGDA, at, head_gradients, every=2)


def compare(run_ranks: RunRanks, cls: type[Method], at: str, head_gradients: Any, every: int) -> None:
    example(cls)  # skips where a package is missing
    whole = train(0, 1, cls, at, head_gradients, every)
    first, second = run_ranks(train, 2, cls, at, head_gradients, every)
    for name, value in whole.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, equal_nan=True, msg=name)
        if value.is_floating_point():
            # float32 gradients are summed in another order; inner iterations with a large step, as SDMGrad's, enlarge
            # in their state what that changes, a thousandfold
            near = 1e-3 if name.startswith("method.") else 3e-6
            atol = near * max(1.0, float(value.nan_to_num().abs().max()))
            torch.testing.assert_close(
                first[name], value, rtol=1e-5, atol=atol, equal_nan=True, msg=lambda text, name=name: f"{name}: {text}"
            )
