import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import (
    DDPStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
    Strategy,
)

from mtl.balancing.upgrad import UPGrad
from mtl.callbacks.balancing.loss_balancing import LossBalancing
from mtl.callbacks.distributed.fully_sharded import FullySharded
from mtl.callbacks.distributed.strategies import refuse_strategy
from tests.contract.kit.runs import module


class DeepSpeedStrategy(SingleDeviceStrategy):
    """Stands for the one that needs a package."""


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (FSDPStrategy(), "FSDPStrategy is FSDP1.*fully_sharded"),
        (DeepSpeedStrategy("cpu"), "DeepSpeedStrategy runs the backward pass itself.*or to ddp"),
        (ModelParallelStrategy(), "ModelParallelStrategy expects the module to shard itself.*fully_sharded"),
    ],
    ids=["fsdp", "deepspeed", "model parallel"],
)
def test_strategies_that_hide_gradients_are_refused_by_name(strategy: Strategy, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        refuse_strategy(strategy)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_by_copy_are_refused_on_the_command_line_only(method: str) -> None:
    strategy = DDPStrategy(start_method=method)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"starts its processes by {method}.*Set it to ddp"):
        refuse_strategy(strategy, from_script=True)
    assert refuse_strategy(strategy) is None


def test_the_others_pass_and_balancing_asks_too() -> None:
    for strategy in (DDPStrategy(), FullySharded(), SingleDeviceStrategy("cpu")):
        assert refuse_strategy(strategy, from_script=True) is None
    balancing = LossBalancing(UPGrad())
    run = Trainer(accelerator="cpu", logger=False, callbacks=[balancing])
    run.strategy.__class__ = DeepSpeedStrategy
    with pytest.raises(ValueError, match="DeepSpeedStrategy"):
        balancing.setup(run, module(), "fit")
