"""`TaskScheduling`: choose the tasks that train at a step. The heads of the others run neither forward nor backward.

Shapes: K tasks, L levels.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from mtl.balancing.engine.gradients_before_backward import BeforeBackward
from mtl.balancing.engine.partition import trainable
from mtl.balancing.engine.plain_sum import PlainSum
from mtl.batch import Batch, labelled_tasks
from mtl.callbacks.logging_steps import is_logging_step
from mtl.distributed.dtensor import is_sharded
from mtl.distributed.ranks import num_ranks, sum_over_ranks
from mtl.functional.gradient_similarity import gradient_similarity
from mtl.functional.on_host import numbers_on
from mtl.module import MultiTaskLightningModule, Objective
from mtl.runs.trainer_limits import refuse_line_search
from mtl.scheduling.schedule import TaskSchedule


class TaskScheduling(Callback):
    """Train only some tasks at each step, by a schedule, by class path in a config.

    A task that is skipped costs neither forward nor backward of its head and is left as it is: no gradient, no weight
    decay, no momentum. The backbone always takes its step; levels that only skipped tasks read get a zero gradient.
    With accumulation all batches of an optimiser step train the same tasks. A balancing method sees a skipped task as
    one without labels. Log keys: `active/<task>`, the share of steps since the last logging step. With
    `compile: true` every new set of tasks is compiled once.

    Args:
        schedule: the schedule.
        warmup_steps: optimiser steps at the start at which all tasks train.
    """

    def __init__(self, schedule: TaskSchedule, warmup_steps: int = 0) -> None:
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps={warmup_steps} must be at least 0.")
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.names: list[str] = []
        self.active: list[bool] = []
        self.watching = False
        self._module: MultiTaskLightningModule | None = None
        self._sum = PlainSum()  # records the Gramian where no method on gradients does
        self._seen: Tensor | None = None  # the Gramian that was added last
        self._labelled: list[bool] = []  # whether this rank has a label of each task in the batch
        self._losses: Tensor | None = None  # [2,K]: sum since the last window, and of how many batches; of all ranks
        self._cosines: Tensor | None = None  # [2,K,K]: sum over watched steps, and how many
        self._turns: list[list[bool]] = []  # since the last logging step
        self._steps_before = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if not isinstance(pl_module, MultiTaskLightningModule):
            raise ValueError(f"TaskScheduling needs a MultiTaskLightningModule; found {type(pl_module).__name__}.")
        self.names = list(pl_module.model.heads)
        if not self.schedule.num_tasks:
            self.schedule.build(len(self.names))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        refuse_line_search(trainer, "TaskScheduling")
        assert isinstance(pl_module, MultiTaskLightningModule)
        self._module = pl_module
        pl_module.objective_steps["schedule"] = self._objective
        if pl_module.model.junction.node is not None:  # of `LossBalancing`, since its `setup`
            pl_module.model.junction.node.watched = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._leave()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._leave()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        step = self._steps_before = trainer.global_step
        everyone = step < self.warmup_steps
        self.watching = self.schedule.watched(step)
        self.active = [True] * len(self.names) if everyone or self.watching else self.schedule.active(step)
        assert self._module is not None
        self._labelled = labelled_tasks(batch, {name: self._module.tasks[name] for name in self.names})
        junction = self._module.model.junction
        junction.active = [name for name, active in zip(self.names, self.active, strict=True) if active]
        if junction.node in (None, self._sum):
            junction.node = self._sum if self.watching else None

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self._module is not None
        node = self._module.model.junction.node
        gramian_KK = node.gramian if self.watching and node is not None else None
        if gramian_KK is not None and gramian_KK is not self._seen:
            self._seen = gramian_KK
            if node is self._sum:  # outside of backward, where it cannot get between DDP's own messages
                gramian_KK = sum_over_ranks(gramian_KK)
            cosines_KK = gradient_similarity(gramian_KK)[1]
            known_KK = cosines_KK.isfinite()
            both = torch.stack((torch.where(known_KK, cosines_KK, 0.0), known_KK.to(cosines_KK)))
            self._cosines = both if self._cosines is None else self._cosines.to(both) + both

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        assert isinstance(pl_module, MultiTaskLightningModule)
        for parameter in self._own_of_skipped():
            parameter.grad = None
        self._turns.append(self.active)
        if is_logging_step(trainer, done=False):
            for name, turns in zip(self.names, zip(*self._turns, strict=True), strict=True):
                pl_module.log(f"active/{name}", sum(turns) / len(turns))
            self._turns = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self._module is not None:
            self._module.model.junction.active = None
        step = trainer.global_step
        if step == self._steps_before:
            return
        if self.schedule.window and step % self.schedule.window == 0 and self._losses is not None:
            total_2K = self._losses.cpu()
            self.schedule.observe_losses(total_2K[0] / total_2K[1])
            self._losses = None
        if self._cosines is not None and not self.schedule.watched(step):
            cosines_2KK = self._cosines.float().cpu()
            self.schedule.observe_cosines(cosines_2KK[0] / cosines_2KK[1])
            self._cosines = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "name": type(self.schedule).__name__,
            "schedule": self.schedule.state_dict(),
            "losses": self._losses,
            "cosines": self._cosines,
            "turns": self._turns,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if state_dict["name"] != type(self.schedule).__name__:
            raise ValueError(
                f"the checkpoint was scheduled by {state_dict['name']}; TaskScheduling has "
                f"{type(self.schedule).__name__}. Continue with the schedule of the run, or start a new run."
            )
        self.schedule.load_state_dict(state_dict["schedule"])
        self._losses, self._cosines = state_dict["losses"], state_dict["cosines"]
        self._turns = state_dict["turns"]

    def _skipped(self) -> list[str]:
        return [name for name, active in zip(self.names, self.active, strict=False) if not active]

    def _own_of_skipped(self) -> list[nn.Parameter]:
        """What only skipped tasks use; a weight that they tie to others' stays in training."""
        assert self._module is not None
        skipped = self._skipped()
        own = self._module.model.partition().own if skipped else {}
        return [parameter for name in skipped for parameter in own[name]]

    def _objective(self, losses: dict[str, Tensor], rest: Objective) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        if self.schedule.window:
            self._add(losses)
        total, weights = rest(losses)
        if self._skipped():
            total = total + self._zero()
        return total, weights

    def _add(self, losses: dict[str, Tensor]) -> None:
        nothing = next(iter(losses.values())).new_zeros(())
        values_K = torch.stack([losses[name].detach() if name in losses else nothing for name in self.names]).float()
        # the exact 0 of a task without labels is no loss
        known = [name in losses and here for name, here in zip(self.names, self._labelled, strict=True)]
        here_K = numbers_on(values_K.device, known)
        # at every batch, so that a checkpoint of the first rank holds what all ranks continue from
        total_K, ranks_K = sum_over_ranks(torch.stack((torch.where(here_K, values_K, 0.0), here_K.to(values_K))))
        counted_K = (ranks_K > 0) & total_K.isfinite()
        both = torch.stack((torch.where(counted_K, total_K / num_ranks(), 0.0), counted_K.to(total_K)))
        self._losses = both if self._losses is None else self._losses.to(both) + both

    def _zero(self) -> Tensor | float:
        """0, with a zero gradient to all levels and to what skipped tasks own, for which DDP waits; FSDP does not."""
        assert self._module is not None
        junction = self._module.model.junction
        if isinstance(junction.node, BeforeBackward):  # gives every parameter a gradient
            return 0.0
        touched = [level.flatten()[0] for level in junction.levels]
        if num_ranks() > 1:
            waited = trainable(self._own_of_skipped())
            touched += [] if is_sharded(waited) else [p.sum() for p in waited]
        return sum(value.float() * 0 for value in touched)

    def _leave(self) -> None:
        if self._module is not None:
            self._module.clear_objective()
        self._module = None
        self.active = []
