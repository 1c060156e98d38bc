"""A view whose levels all get a gradient, also those that the head does not read.

Where a task has layers of its own behind the stages (a pyramid in its column), a head that reads one level leaves
others without a gradient: DDP waits for it forever, and weight decay treats the layers in another way.
"""

from typing import Any

from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from mtl.features import Features


def whole(view: Features) -> Features:
    """The same features; in backward a level that nobody read gets zeros.

    Args:
        view: the features of one task.
    """
    levels = [level for level, value in view.items() if value.is_floating_point() and value.requires_grad]
    if len(levels) < 2:
        return view
    tied = _Tied.apply(*(view[level] for level in levels))
    return view | dict(zip(levels, tied, strict=True))


class _Tied(Function):
    @staticmethod
    def forward(ctx: Any, *levels: Tensor) -> tuple[Tensor, ...]:
        return tuple(level.view_as(level) for level in levels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return gradients  # autograd fills in zeros
