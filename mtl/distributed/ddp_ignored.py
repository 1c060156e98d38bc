"""Parameters whose gradients are means over the ranks already, which DDP would send once more."""

from collections.abc import Iterable

from torch import Tensor, nn

_NAME = "_ddp_params_and_buffers_to_ignore"  # what `DistributedDataParallel` looks for when it wraps a module


def leave_out_of_ddp(module: nn.Module, parameters: Iterable[Tensor]) -> None:
    """Keep parameters out of DDP, which neither shares them at the start nor averages their gradients then.

    Args:
        module: the module that DDP is going to wrap.
        parameters: some of its parameters.
    """
    wanted = {id(parameter) for parameter in parameters}
    setattr(module, _NAME, [name for name, value in module.named_parameters() if id(value) in wanted])


def give_back_to_ddp(module: nn.Module) -> None:
    """Undo `leave_out_of_ddp` for the next wrapping.

    Args:
        module: as given there, or one that was not.
    """
    if hasattr(module, _NAME):
        delattr(module, _NAME)
