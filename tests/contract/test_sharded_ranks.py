"""FSDP2 over two ranks makes the steps of one process with both batches, plainly and balanced, gradients as shards."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.balancing.db_mtl import DBMTL
from mtl.balancing.graddrop import GradDrop
from mtl.balancing.method import Method
from mtl.balancing.mgda import MGDA
from mtl.balancing.uncertainty import Uncertainty
from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.loss_balancing import LossBalancing
from mtl.sharding import FullySharded
from tests.conftest import RunRanks
from tests.contract.balanced_run import Norms, Scenes, module, trainer
from tests.contract.test_methods_over_ranks import (
    NEAR_64,
    SAMPLES,
    STEPS,
    Team,
    double_precision,
    uneven,
    without_batch_norm,
)


class Sharded(FullySharded):
    """On ranks that stand already."""

    def __init__(self, rank: int, ranks: int, blocks: Any = ()) -> None:
        super().__init__(blocks, "gloo")
        self.cluster_environment = Team(rank, ranks)


def train(
    rank: int, ranks: int, method: Method | None, at: str, head_gradients: Any = None, every: int = 1, blocks: Any = ()
) -> dict[str, Tensor]:
    scenes = Scenes(SAMPLES // ranks, num_train=2 * SAMPLES * STEPS, kept=uneven())
    scenes.setup("fit")  # drawn once, in 32 bits
    with double_precision():
        loop = module(Norms())
        without_batch_norm(loop)
        callbacks: list[Any] = []
        if method is not None:
            callbacks = [LossBalancing(method, at=at, head_gradients=head_gradients, every=every)]  # type: ignore[arg-type]
        settings: dict[str, Any] = {"strategy": Sharded(rank, ranks, blocks)} if ranks > 1 else {}
        run = trainer(
            callbacks,
            max_epochs=1,
            accumulate_grad_batches=2,
            gradient_clip_val=1.0,
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
    "parameters": (UPGrad, "parameters"),
    "parameters, weighted heads": (MGDA, "parameters", "weighted"),
    "parameters, kept weights": (MGDA, "parameters", "own", 2),
    "parameters, block by block": (UPGrad, "parameters", "own", 1, ("Sequential",)),
}


@pytest.mark.ddp
@pytest.mark.parametrize("case", CASES)
def test_shards_make_the_steps_of_one_process(case: str, run_ranks: RunRanks) -> None:
    cls, at, *more = CASES[case]
    method = cls() if cls else None
    one = train(0, 1, cls() if cls else None, at, *more)
    first, second = run_ranks(train, 2, method, at, *more)
    for name, value in one.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)
        torch.testing.assert_close(first[name], value, rtol=NEAR_64, atol=NEAR_64, msg=lambda m, n=name: f"{n} {m}")


@pytest.mark.ddp
def test_methods_that_need_whole_gradients_of_parameters_are_refused_by_name(run_ranks: RunRanks) -> None:
    for message in run_ranks(refusal, 2):
        assert "DBMTL at='parameters' needs the whole gradient" in message
        assert "strategy ddp, take at='features'" in message


def refusal(rank: int, ranks: int) -> str:
    with pytest.raises(ValueError, match=".") as caught:
        train(rank, ranks, DBMTL(), "parameters")
    return str(caught.value)
