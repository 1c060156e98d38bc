"""Base class of all balancing methods: a module that keeps its state in buffers and parameters, so a resume is exact.

The three kinds are in `mtl.balancing.protocols`. All work without a trainer: `weights = CAGrad()(gramian, losses)`.
Shapes: K tasks.
"""

from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

OK, STATIONARY, SINGULAR, NOT_FINITE, NOT_POSITIVE, INEXACT = range(6)  # values of `status`, named in `STATUS`
STATUS = ("ok", "Pareto-stationary", "singular", "not finite", "a loss is not above 0", "not solved to tolerance")


class Method(nn.Module, ABC):
    """Base class of all balancing methods: the number of tasks, set at the first call, and an explicit status.

    `status` is the outcome of the last call (see `STATUS`), so no method falls back to another rule silently. `ok` of a
    method that solves a problem means that its optimality conditions were checked on the given Gramian and hold to
    `Gram.tolerance` (see `mtl.functional.solvers.optimality`).
    """

    paper: ClassVar[str]  # authors, title, venue and year
    head_gradients: Literal["own", "weighted"] = "own"  # gradients of the heads, as in the paper
    losses_after_step: bool = False  # needs the losses of the same batch again after the optimiser step
    at: tuple[str, ...] = ("features", "parameters")  # where task gradients may be taken
    weight_lr: float | None = None  # learning rate of learned weights; None: the model's learning rate

    adapter: ClassVar[bool] = False  # wraps other methods and has no rule itself; comparisons skip it

    # traits checked by the contract tests
    symmetric: ClassVar[bool] = True  # permuting the tasks permutes the weights
    # scalings of the losses that keep the direction of the update: "common", one factor for all; "each", one per task
    scaling: ClassVar[Literal["none", "common", "each"]] = "none"

    status: Tensor
    built_for: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.num_tasks = 0
        self.register_buffer("status", torch.tensor(OK))
        self.register_buffer("built_for", torch.tensor(0))  # number of tasks; lets a new method load this state

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        """An instance for tests and listings; override it if the constructor has arguments without a default.

        Args:
            num_tasks: number of tasks K.
        """
        return cls()

    def build(self, num_tasks: int) -> None:
        """Create the state for a number of tasks; called by the trainer or by the first `forward`.

        Args:
            num_tasks: number of tasks K.

        Raises:
            ValueError: if the method was built for another number of tasks.
        """
        if self.num_tasks and self.num_tasks != num_tasks:
            raise ValueError(
                f"{type(self).__name__} was built for {self.num_tasks} tasks but got {num_tasks}. "
                "Create a new instance, or pass `present` if some tasks have no label in this batch."
            )
        if not self.num_tasks:
            self.num_tasks = num_tasks
            self.built_for.fill_(num_tasks)
            self.make_state(num_tasks)
            self.to(self.status.device)

    def make_state(self, num_tasks: int) -> None:
        """Register the buffers and parameters with one entry per task; nothing by default.

        Args:
            num_tasks: number of tasks K.
        """

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser parameter groups of the learned weights: no weight decay, and `weight_lr` if it is set."""
        groups = []
        for method in self.modules():
            parameters = list(method.parameters(recurse=False))
            if parameters:
                rate = getattr(method, "weight_lr", None)
                group = {"params": parameters, "weight_decay": 0.0, "name": f"balancing/{type(method).__name__}"}
                groups.append(group if rate is None else {**group, "lr": rate})
        return groups

    def head_weights(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        """Weights of the heads' own gradients for `head_gradients="own"`, [K]: 1 unless the method transforms losses.

        Changes no state. In a step, call it before the method itself.

        Args:
            losses: [K].
            present: which tasks have a label in this batch; all by default.
        """
        return torch.ones_like(losses)

    def parameter_loss(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor | None:
        """Loss term by which a gradient method learns its own parameters; it has no gradient for any other parameter.

        A `LossWeighting` does not need it: its parameters are in its objective. Changes no state. In a step, call it
        before the method itself.

        Args:
            losses: [K].
            present: which tasks have a label in this batch; all by default.
        """
        return None

    def observe_step(self, losses: Tensor) -> None:
        """Receive the losses of the same batch after the optimiser step; only called if `losses_after_step` is set.

        Args:
            losses: [K].
        """

    def observe_epoch(self, losses: Tensor, scores: Tensor | None = None) -> None:
        """Receive the results of an epoch at its end.

        Args:
            losses: mean training loss of each task in the epoch, [K].
            scores: monitored validation metric of each task, higher is better, [K].
        """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.num_tasks and int(state_dict.get(f"{prefix}built_for", 0)):
            self.build(int(state_dict[f"{prefix}built_for"]))
            for name, own in [*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)]:
                own.data = own.data.to(state_dict[prefix + name].dtype if prefix + name in state_dict else own.dtype)
        super()._load_from_state_dict(state_dict, prefix, *args)
