"""What every balancing method is: a module whose state is buffers and parameters, so it survives a stop and resume.

The three kinds are in `mtl.balancing.protocols`. Any works without a trainer: `weights = CAGrad()(gramian, losses)`.
Shapes: K tasks.
"""

from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

OK, STATIONARY, SINGULAR, NOT_FINITE, NOT_POSITIVE = range(5)  # `status`, in words of `STATUS`
STATUS = ("ok", "Pareto-stationary", "singular", "not finite", "a loss is not above 0")


class Method(nn.Module, ABC):
    """What all balancing methods share: a number of tasks learned at the first call, and an explicit status.

    `status` says how the last call went (see `STATUS`); a method never falls back to something else in silence.
    """

    paper: ClassVar[str]  # authors, title, venue and year
    head_gradients: Literal["own", "weighted"] = "own"  # what the paper gives the heads
    losses_after_step: bool = False  # needs the same batch's losses again after the optimiser step
    at: tuple[str, ...] = ("features", "parameters")  # where its gradients may be taken
    weight_lr: float | None = None  # learning rate of learned weights; None: that of the model

    adapter: ClassVar[bool] = False  # brings other methods in and has no rule of its own; comparisons leave it out

    # what the contract tests hold a method to
    symmetric: ClassVar[bool] = True  # permuting the tasks permutes the weights
    # what leaves the direction of the update as it is: "common", one factor on all losses; "each", a factor for each
    scaling: ClassVar[Literal["none", "common", "each"]] = "none"

    status: Tensor
    built_for: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.num_tasks = 0
        self.register_buffer("status", torch.tensor(OK))
        self.register_buffer("built_for", torch.tensor(0))  # in the state, so that it can be loaded into a new method

    @classmethod
    def example(cls, num_tasks: int = 2) -> Self:
        """An instance for tests and lists; override it where the constructor has arguments without default.

        Args:
            num_tasks: number of tasks K.
        """
        return cls()

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
            self.built_for.fill_(num_tasks)
            self.make_state(num_tasks)
            self.to(self.status.device)

    def make_state(self, num_tasks: int) -> None:
        """Register the buffers and parameters that have one entry for each task; nothing by default.

        Args:
            num_tasks: number of tasks K.
        """

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of the learned weights for an optimiser: without weight decay, with `weight_lr` where it is given."""
        groups = []
        for method in self.modules():
            parameters = list(method.parameters(recurse=False))
            if parameters:
                rate = getattr(method, "weight_lr", None)
                group = {"params": parameters, "weight_decay": 0.0, "name": f"balancing/{type(method).__name__}"}
                groups.append(group if rate is None else {**group, "lr": rate})
        return groups

    def head_weights(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor:
        """Weights of the heads' own gradients with `head_gradients="own"`; ones but for methods that transform losses.

        Changes no state; ask before the method itself is called in a step.

        Args:
            losses: [K].
            present: which tasks have a label in this batch; all by default.
        """
        return torch.ones_like(losses)

    def parameter_loss(self, losses: Tensor, present: Sequence[bool] | None = None) -> Tensor | None:
        """What a gradient method adds to the objective to learn its own parameters; it reaches nothing else.

        A `LossWeighting` needs none: its parameters are in its objective. Changes no state; ask before the method
        itself is called in a step.

        Args:
            losses: [K].
            present: which tasks have a label in this batch; all by default.
        """
        return None

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

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if not self.num_tasks and int(state_dict.get(f"{prefix}built_for", 0)):
            self.build(int(state_dict[f"{prefix}built_for"]))
            for name, own in [*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)]:
                own.data = own.data.to(state_dict[prefix + name].dtype if prefix + name in state_dict else own.dtype)
        super()._load_from_state_dict(state_dict, prefix, *args)
