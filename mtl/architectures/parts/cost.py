"""What an architecture costs: parameters and floating point operations, in all and for one task that is exported alone.

Operations are those that PyTorch counts: convolutions, matrix products, attention; not recurrent layers.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtl.architectures.architecture import Architecture


@dataclass(frozen=True)
class Cost:
    """Parameters and operations.

    Args:
        parameters: number of parameters.
        flops: floating point operations of one forward pass; a multiplication and an addition count as 2.
    """

    parameters: int
    flops: int


def cost(architecture: Architecture, prepared: Mapping[str, Tensor]) -> Cost:
    """All tasks together, without their heads.

    Args:
        architecture: the architecture; in evaluation.
        prepared: inputs, as the kinds of inputs prepare them.
    """
    return Cost(_number(architecture), count_flops(lambda: architecture(prepared)))


def cost_alone(architecture: Architecture, name: str, prepared: Mapping[str, Tensor]) -> Cost:
    """One task after `harden`, without its head.

    Args:
        architecture: the architecture; in evaluation; it stays as it is.
        name: the task.
        prepared: inputs, as the kinds of inputs prepare them.
    """
    alone = copy.deepcopy(architecture)
    alone.harden(name)
    return Cost(_number(alone), count_flops(lambda: alone.view(alone.cut(prepared), name)))


def count_flops(run: Callable[[], object]) -> int:
    """Operations of some work.

    Args:
        run: does it.
    """
    # without gradients, the counter's hooks fail on views of parameters
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def _number(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
