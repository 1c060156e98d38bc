"""The objective of a loss method: this rank's losses under the weights that the losses of all ranks give.

Shapes: K tasks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.balancing.engine.fork import deliver
from mtl.balancing.protocols import LossWeighting


def loss_objective(
    method: LossWeighting, losses_K: Tensor, global_K: Tensor, present: Sequence[bool] | None
) -> tuple[Tensor, Tensor]:
    """The objective and the weights of the tasks.

    Averaged over ranks, its gradient is the gradient of the method's objective on the whole batch: for the network and,
    since every rank computes the same, for the method's own parameters.

    Args:
        method: the method.
        losses_K: this rank's losses, with gradient.
        global_K: the losses of the whole batch.
        present: which tasks have a label in the whole batch; `None` for all.
    """
    leaf_K = global_K.detach().clone().requires_grad_()
    value = method(leaf_K, present)
    learned = [parameter for parameter in method.parameters() if parameter.requires_grad]
    weights_K, *gradients = torch.autograd.grad(value, [leaf_K, *learned], allow_unused=True)
    total = (weights_K * losses_K).sum()
    if learned:
        total = total + deliver(learned, gradients)
    # the value that is logged is the method's objective; the gradient comes from the line above
    return total + (value.detach() - total.detach()), weights_K.detach()
