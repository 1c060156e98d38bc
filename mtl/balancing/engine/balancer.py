"""`Balancer`: a balancing method in any training loop, Lightning's or one of your own.

    balancer = Balancer(UPGrad(), Partition(list(trunk.parameters()), {"a": [...], "b": [...]}))
    views = balancer.split({"z": trunk(x)})  # the shared features once for each task
    losses = {"a": loss(head_a(views["a"]["z"]), y), "b": loss(head_b(views["b"]["z"]), y)}
    balancer.objective(losses).backward()

Under DDP every rank calls the same lines; the weights follow from the whole batch.
Shapes: K tasks.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from mtl.balancing.engine.gradients import TaskGradients
from mtl.balancing.engine.gradients_before_backward import BeforeBackward
from mtl.balancing.engine.gradients_in_backward import InBackward
from mtl.balancing.engine.junction import Junction
from mtl.balancing.engine.loss_objective import loss_objective
from mtl.balancing.engine.partition import Partition
from mtl.balancing.method import Method
from mtl.balancing.protocols import GradientWeighting, LossWeighting
from mtl.distributed.ranks import mean_over_ranks, num_ranks
from mtl.features import Features

Place = Literal["features", "parameters"]
HeadGradients = Literal["own", "weighted"]


class Balancer:
    """Turns the losses of a step into the scalar to differentiate, under a balancing method.

    Args:
        method: the balancing method.
        partition: the parameters by owner; its `own` names the tasks in their order.
        at: where a gradient method sees the gradients: `features` (cheap; their Gramian bounds the parameters' one)
            or `parameters` (exact, one backward through the shared part for each task).
        every: ask the method at every n-th step and keep its weights between (PSMGD, AAAI 2025).
        head_gradients: `own`: the parameters of each task follow its own loss; `weighted`: their gradient is weighted
            like the shared one; by default what the method's paper does.
        shared_after_cut: whether shared parameters are used behind the features too (trunks that run once a task).

    Raises:
        ValueError: if the method cannot work there, or a setting would have no effect.
    """

    def __init__(
        self,
        method: Method,
        partition: Partition,
        at: Place = "features",
        every: int = 1,
        head_gradients: HeadGradients | None = None,
        shared_after_cut: bool = False,
    ) -> None:
        check_settings(method, at, every, head_gradients)
        if shared_after_cut and at == "features" and not isinstance(method, LossWeighting):
            raise ValueError(
                "shared weights are used once for each task behind the cut, so there are no features that the tasks "
                "share and at='features' has no meaning. Set `at: parameters`, which costs no further pass there, or "
                "take a method on losses."
            )
        self.method = method
        self.names = partition.names
        self.every = every
        self.step = 0  # optimiser steps done; a loop that accumulates or resumes sets it
        self.junction = Junction()
        self.node: TaskGradients | None = None
        self.losses: tuple[Tensor, Sequence[bool] | None] | None = None  # of the last step, and who was present
        self._own_steps = True
        method.build(len(self.names))
        if not isinstance(method, LossWeighting):
            heads = head_gradients or method.head_gradients
            before = at == "parameters" or heads == "weighted" or shared_after_cut
            self.node = (BeforeBackward if before else InBackward)(method, partition, at, heads)
            if isinstance(self.node, BeforeBackward):
                self.node.shared_after_cut = shared_after_cut
            self.junction.node = self.node

    def split(self, features: Features) -> dict[str, Features]:
        """The features of every task.

        Args:
            features: what the tasks share, by any names.
        """
        return self.junction(features, self.names)

    def objective(self, losses: Mapping[str, Tensor], present: Sequence[bool] | None = None) -> Tensor:
        """The scalar to call `backward` on.

        Args:
            losses: this rank's loss of each task, scalars; a task that did not run is left out.
            present: which tasks have a label in the batch of all ranks; all by default.
        """
        return self.objective_and_weights(losses, present)[0]

    def objective_and_weights(
        self, losses: Mapping[str, Tensor], present: Sequence[bool] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to call `backward` on, and the weights where they are known before it.

        Args:
            losses: as `objective`.
            present: as `objective`.
        """
        nothing = next(iter(losses.values())).new_zeros(())
        if len(losses) < len(self.names):  # a task that did not run is one without labels
            present = [name in losses and (present is None or present[k]) for k, name in enumerate(self.names)]
        # 16 bits are for the network
        with torch.autocast(nothing.device.type, enabled=False):
            each = [losses.get(name, nothing).float() for name in self.names]
            losses_K = torch.stack(each)
            # what the whole batch lost: every rank asks the method the same question and gets the same answer
            global_K = mean_over_ranks(losses_K.detach())
            self.losses = global_K, present
            if self.node is not None:
                self._join()
                self.node.reuse = self.step % self.every > 0
                self.step += self._own_steps
                return self.node.objective(each, global_K, present), {}
            assert isinstance(self.method, LossWeighting)
            total, weights_K = loss_objective(self.method, losses_K, global_K, present)
        return total, dict(zip(self.names, weights_K, strict=True))

    def at_step(self, step: int) -> None:
        """Say which optimiser step this is, instead of counting calls of `objective`.

        Args:
            step: optimiser steps done.
        """
        self.step, self._own_steps = step, False

    def _join(self) -> None:
        """A process group of its own: messages inside backward must not queue behind DDP's."""
        assert self.node is not None
        if num_ranks() > 1 and self.node.group is None:
            group = dist.new_group()
            assert isinstance(group, dist.ProcessGroup)
            self.node.group = group


def check_settings(method: Method, at: str, every: int, head_gradients: str | None) -> None:
    """Refuse settings that a method cannot follow, or that would have no effect.

    Args:
        method: the balancing method.
        at: `features` or `parameters`.
        every: how often it is asked.
        head_gradients: `own`, `weighted`, or none.

    Raises:
        ValueError: naming the method and the setting.
    """
    name = type(method).__name__
    if every < 1:
        raise ValueError(f"every={every} must be at least 1: the method is asked at each `every`-th step.")
    if isinstance(method, LossWeighting) and (head_gradients or every > 1 or at != "features"):
        raise ValueError(f"{name} sees losses only, so `at`, `every` and `head_gradients` have no effect; remove them.")
    if not isinstance(method, LossWeighting) and at not in method.at:
        raise ValueError(f"{name} works at {' or '.join(method.at)}, not at {at!r}.")
    limits = [part for part in method.modules() if getattr(part, "max_norm", None) is not None]
    if every > 1 and limits:
        raise ValueError(
            f"{type(limits[0]).__name__} limits the update to max_norm at the steps that ask the method; with "
            f"every={every} the kept weights meet other gradients, which it does not see. Remove max_norm and set "
            "trainer.gradient_clip_val, which limits every step."
        )
    if every > 1 and not isinstance(method, GradientWeighting):
        raise ValueError(f"{name} gives no weights that could be kept between steps; set every=1.")
