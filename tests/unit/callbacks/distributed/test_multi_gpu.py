import logging
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.balancing.uncertainty import Uncertainty
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.distributed.multi_gpu import MultiGPU, team_numbers
from tests.conftest import RunRanks
from tests.contract.kit.ranks import Team, without_batch_norm
from tests.contract.kit.runs import Norms, Scenes, module, trainer


class Rates(Callback):
    """Learning rates by group at every step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        groups = trainer.optimizers[0].param_groups
        self.seen.append({group["name"]: group["lr"] for group in groups})


def fit(callbacks: list[Callback], rank: int = 0, ranks: int = 1, norms: bool = False, **settings: Any) -> Trainer:
    loop = module(ResidualFPN(width=4, pyramid_width=8) if norms else Norms())
    if not norms:
        without_batch_norm(loop)
    if ranks > 1:
        strategy = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo")
        settings |= {"strategy": strategy, "num_nodes": ranks}
    run = trainer(callbacks, **{"max_epochs": 1, "devices": 1, **settings})
    run.fit(loop, Scenes(4))
    return run


@pytest.mark.parametrize(("rule", "factor"), [("none", 1.0), ("linear", 4.0), ("sqrt", 2.0)])
def test_learning_rates_follow_the_rule_at_all_steps_but_not_those_of_task_weights(rule: Any, factor: float) -> None:
    rates = Rates()
    fit([MultiGPU(rule), LossBalancing(Uncertainty(weight_lr=0.01)), rates], accumulate_grad_batches=4)
    assert len(rates.seen) == 4
    for seen in rates.seen:
        assert seen["model"] == pytest.approx(0.05 * factor)
        assert seen["balancing/Uncertainty"] == pytest.approx(0.01)


def on_ranks(rank: int, ranks: int, arguments: dict[str, Any], norms: bool, **settings: Any) -> Any:
    rates, messages = Rates(), []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("mtl.multi_gpu").addHandler(handler)
    try:
        run = fit([MultiGPU(**arguments), rates], rank, ranks, norms, **settings)
    finally:
        logging.getLogger("mtl.multi_gpu").removeHandler(handler)
    numbers = {name: float(value) for name, value in run.callback_metrics.items()}
    return numbers, rates.seen, messages


@pytest.mark.ddp
def test_ranks_log_what_they_did_and_scale_by_their_number(run_ranks: RunRanks) -> None:
    first, second = run_ranks(on_ranks, 2, {"lr_scaling": "linear", "timeout_s": 60}, False)
    for numbers, rates, messages in (first, second):
        assert numbers["ranks/straggler"] >= 1
        assert numbers["ranks/slowest"] in (0, 1)
        assert numbers["throughput/samples_per_s_per_rank"] > 0
        assert 0 < numbers["ranks/memory_gb_min"] <= numbers["ranks/memory_gb_max"]
        assert rates[0]["model"] == pytest.approx(0.1)
        assert not messages
    shared = [name for name in first[0] if name.startswith("ranks/")]
    assert len(shared) == 8
    assert all(first[0][name] == second[0][name] for name in shared)


@pytest.mark.ddp
def test_batch_norms_of_single_ranks_are_said_or_refused(run_ranks: RunRanks) -> None:
    first, second = run_ranks(on_ranks, 2, {}, True)
    assert "batch norms see the samples of their own process only, 1/2 of the batch" in first[2][0]
    assert not second[2]
    assert not run_ranks(on_ranks, 2, {"batch_norm": "ignore"}, True)[0][2]
    for message in run_ranks(refusal, 2, {"batch_norm": "error"}):
        assert "a step differs from one process" in message


def refusal(rank: int, ranks: int, arguments: dict[str, Any], **settings: Any) -> str:
    # caught here: a rank that raises ends the processes of all tests
    with pytest.raises(ValueError, match=".") as caught:
        on_ranks(rank, ranks, arguments, True, **settings)
    return str(caught.value)


def with_fewer_samples(rank: int, ranks: int, fewer: str) -> str:
    class Uneven(Scenes):
        def setup(self, stage: str) -> None:
            super().setup(stage)
            self.seed += rank if fewer == "seed" else 0
            self.train_set = torch.utils.data.Subset(self.train_set, range(16 - (rank if fewer == "samples" else 0)))

    loop = module(Norms())
    strategy = DDPStrategy(cluster_environment=Team(rank, ranks), process_group_backend="gloo")
    run = trainer([MultiGPU(batch_norm="ignore")], strategy=strategy, num_nodes=ranks, devices=1)
    with pytest.raises(ValueError, match=".") as caught:
        run.fit(loop, Uneven(2))
    return str(caught.value)


@pytest.mark.ddp
@pytest.mark.parametrize(
    ("fewer", "message"),
    [("samples", "rank 0 has 16 training samples, rank 1 has 15"), ("seed", "rank 0 has 0 as data.seed, rank 1 has 1")],
)
def test_ranks_with_other_data_are_refused_before_they_wait_for_each_other(
    fewer: str, message: str, run_ranks: RunRanks
) -> None:
    for refused in run_ranks(with_fewer_samples, 2, fewer):
        assert message in refused


@pytest.mark.ddp
def test_synchronised_batch_norms_on_a_cpu_are_refused(run_ranks: RunRanks) -> None:
    for message in run_ranks(synchronised_refusal, 2):
        assert "SyncBatchNorm works on GPUs only. Set trainer.sync_batchnorm to false" in message


def synchronised_refusal(rank: int, ranks: int) -> str:
    return refusal(rank, ranks, {}, sync_batchnorm=True)


def test_one_slow_rank_shows_beside_the_median() -> None:
    everyone = torch.tensor([[1.0, 4.0, 40, 2.0], [1.0, 4.0, 40, 2.0], [3.0, 4.0, 40, 5.0]])
    numbers = team_numbers(everyone)
    assert numbers["ranks/straggler"] == pytest.approx(3)
    assert numbers["ranks/slowest"] == 2
    assert numbers["throughput/samples_per_s_per_rank"] == pytest.approx(10)
    assert (numbers["ranks/memory_gb_max"], numbers["ranks/memory_gb/0"]) == pytest.approx((5, 2))
    assert "ranks/busy_ms/0" not in team_numbers(everyone.repeat(6, 1)), "few numbers with many ranks"


def test_a_timeout_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="timeout_s=0 must be above 0"):
        MultiGPU(timeout_s=0)
