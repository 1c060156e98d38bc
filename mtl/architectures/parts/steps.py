"""A count of training batches that is kept in checkpoints: for draws and annealing that resume exactly."""

import torch
from torch import Tensor, nn


class Steps(nn.Module):
    """Counts training batches; equal on all ranks, which make equally many.

    Args:
        anneal: batches until annealing is over.

    Raises:
        ValueError: if `anneal` is below 1.
    """

    count: Tensor

    def __init__(self, anneal: int) -> None:
        super().__init__()
        if anneal < 1:
            raise ValueError(f"anneal_steps={anneal} must be at least 1.")
        self.anneal = anneal
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def advance(self) -> None:
        """One more batch, if it is one of training."""
        if self.training and torch.is_grad_enabled():
            self.count += 1

    def between(self, start: float, end: float) -> Tensor:
        """A scalar that moves from `start` to `end`, along a line of its logarithm, and stays there.

        Args:
            start: value at the first batch, above 0.
            end: value when annealing is over, above 0.
        """
        done = (self.count.to(torch.get_default_dtype()) / self.anneal).clamp(max=1)
        return start * (end / start) ** done
