"""The three protocols of a balancing method, by what it looks at: losses, the Gramian, or the task gradients.

A method is a module whose state is buffers and parameters, so it survives a stop and resume. It works without any
trainer: `weights = CAGrad()(gramian, losses)`.
Shapes: K tasks, P shared parameters (or feature values).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

OK, STATIONARY, SINGULAR, NOT_FINITE = range(4)  # `status`, in words of `STATUS`
STATUS = ("ok", "Pareto-stationary", "singular", "not finite")


class Method(nn.Module, ABC):
    """What all balancing methods share: a number of tasks learned at the first call, and an explicit status.

    `status` says how the last call went (see `STATUS`); a method never falls back to something else in silence.
    """

    paper: ClassVar[str]  # authors, title, venue and year
    head_gradients: ClassVar[Literal["own", "weighted"]] = "own"  # what the paper gives the heads
    losses_after_step: ClassVar[bool] = False  # needs the same batch's losses again after the optimiser step

    status: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.num_tasks = 0
        self.register_buffer("status", torch.tensor(OK))

    def build(self, num_tasks: int) -> None:
        """Make the state for a number of tasks; called by the trainer, or by the first call.

        Args:
            num_tasks: number of tasks K.

        Raises:
            ValueError: if the method was built for another number.
        """
        if self.num_tasks and self.num_tasks != num_tasks:
            raise ValueError(
                f"{type(self).__name__} was built for {self.num_tasks} tasks and now gets {num_tasks}; "
                "make a new one, or pass `present` when some tasks have no label in this batch."
            )
        if not self.num_tasks:
            self.num_tasks = num_tasks
            self.make_state(num_tasks)
            self.to(self.status.device)

    def make_state(self, num_tasks: int) -> None:
        """Register the buffers and parameters that have one entry for each task; nothing by default.

        Args:
            num_tasks: number of tasks K.
        """

    def observe_step(self, losses: Tensor) -> None:
        """The losses of the same batch after the optimiser step; only for methods that ask with `losses_after_step`.

        Args:
            losses: [K].
        """

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        """End of an epoch.

        Args:
            losses: mean training loss of each task in the epoch, [K].
            scores: the monitored validation metric of each task, higher is better, [K].
        """


class LossWeighting(Method):
    """Sees the losses alone: `objective = method(losses)`."""

    @abstractmethod
    def objective(self, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The scalar to minimise; its gradient with respect to the losses is the weights.

        Args:
            losses_K: losses of the tasks that are present, with gradient.
            index_K: which of all tasks they are, for state that has one entry for each task.
        """

    def forward(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        """The scalar to minimise.

        Args:
            losses: losses of all tasks with gradient, [K].
            present: which tasks have a label in this batch; all by default. The others do not count.
        """
        self.build(len(losses))
        index_K = _index(present, losses)
        return self.objective(losses[index_K], index_K)


class GradientWeighting(Method):
    """Sees the Gramian of the task gradients: `weights = method(gramian, losses)`; the update is their weighted sum."""

    @abstractmethod
    def weigh(self, gramian_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """Weights of the tasks that are present, [K].

        Args:
            gramian_KK: inner products of their gradients.
            losses_K: their losses, detached.
            index_K: which of all tasks they are, for state that has one entry for each task.
        """

    @torch.no_grad()
    def forward(self, gramian: Tensor, losses: Tensor | None = None, present: Sequence[bool] | None = None) -> Tensor:
        """Weights of all tasks.

        Args:
            gramian: inner products of the task gradients, [K,K].
            losses: losses of all tasks, [K]; ones by default.
            present: which tasks have a label in this batch; all by default. The others get weight 0.

        Returns:
            Weights [K] of the dtype of the Gramian.
        """
        self.build(len(gramian))
        losses = torch.ones_like(gramian[0]) if losses is None else losses.detach().to(gramian.dtype)
        index_K = _index(present, gramian)
        weights = gramian.new_zeros(len(gramian))
        weights[index_K] = self.weigh(gramian[index_K][:, index_K], losses[index_K], index_K)
        return weights


class GradientAggregation(Method):
    """Sees the task gradients themselves: `update = method(gradients, losses)`."""

    @abstractmethod
    def combine(self, gradients_KP: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The combined gradient, [P].

        Args:
            gradients_KP: gradients of the tasks that are present.
            losses_K: their losses, detached.
            index_K: which of all tasks they are, for state that has one entry for each task.
        """

    @torch.no_grad()
    def forward(self, gradients: Tensor, losses: Tensor | None = None, present: Sequence[bool] | None = None) -> Tensor:
        """The combined gradient, [P].

        Args:
            gradients: one row for each task, [K,P].
            losses: losses of all tasks, [K]; ones by default.
            present: which tasks have a label in this batch; all by default. The others do not count.
        """
        self.build(len(gradients))
        losses = torch.ones_like(gradients[:, 0]) if losses is None else losses.detach().to(gradients.dtype)
        index_K = _index(present, gradients)
        return self.combine(gradients[index_K], losses[index_K], index_K)


def _index(present: Sequence[bool] | None, like: Tensor) -> Tensor:
    rows = range(len(like)) if present is None else [row for row, here in enumerate(present) if here]
    return torch.tensor(list(rows), device=like.device)
