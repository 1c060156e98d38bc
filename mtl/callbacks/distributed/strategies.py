"""Lightning's strategies that cannot train these models, and what to use instead."""

from lightning.pytorch.strategies import ModelParallelStrategy, Strategy

from mtl.callbacks.distributed.fully_sharded import FullySharded

# by name: the classes of some need packages that are not here
_REASONS = {
    "FSDPStrategy": "is FSDP1, which flattens all parameters into one tensor, so per-task gradients do not exist",
    "DeepSpeedStrategy": "runs the backward pass itself, so that neither gradients of tasks nor EMA can reach into it",
}


def refuse_strategy(strategy: Strategy, from_script: bool = False) -> None:
    """Refuse a strategy before anything starts.

    Args:
        strategy: the trainer's.
        from_script: whether a command line starts the run, which cannot take over what processes by copy come to.

    Raises:
        ValueError: naming the strategy, the reason and the way out.
    """
    names = [cls.__name__ for cls in type(strategy).__mro__]
    for name, reason in _REASONS.items():
        if name in names:
            raise ValueError(f"trainer.strategy {name} {reason}. Set it to fully_sharded (FSDP2), or to ddp.")
    if isinstance(strategy, ModelParallelStrategy) and not isinstance(strategy, FullySharded):
        raise ValueError(
            "trainer.strategy ModelParallelStrategy expects the module to shard itself, which ours does not. Set it to "
            "fully_sharded, which does it from outside. Tensor parallelism is not there."
        )
    method = getattr(strategy, "_start_method", None)
    if from_script and method not in (None, "popen"):
        raise ValueError(
            f"trainer.strategy starts its processes by {method}, as ddp_spawn and ddp_notebook do; averaged weights, "
            "results and the state of balancing would be lost with them. Set it to ddp, or start by torchrun."
        )
