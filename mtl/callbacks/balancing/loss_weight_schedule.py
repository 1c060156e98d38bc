"""`LossWeightSchedule`: the weight of a task's loss as a function of the step."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.errors import check_least, check_names
from mtl.module import MultiTaskLightningModule


@dataclass(frozen=True)
class WeightRamp:
    """A factor on the weight of one task's loss, which moves in a straight line.

    Args:
        from_step: optimiser steps before the factor begins to move.
        steps: optimiser steps in which it moves; 0 changes it at once.
        start: factor until then.
        end: factor afterwards.

    Raises:
        ValueError: for a number below 0.
    """

    from_step: int = 0
    steps: int = 0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_least(0, from_step=self.from_step, steps=self.steps, start=self.start, end=self.end)

    def factor(self, step: int) -> float:
        """The factor at a step.

        Args:
            step: optimiser steps done.
        """
        done = step - self.from_step
        share = min(max(done / self.steps, 0.0), 1.0) if self.steps else float(done >= 0)
        return self.start + share * (self.end - self.start)


class LossWeightSchedule(Callback):
    """Let tasks join later, fade in or fade out: `tasks: {depth: {from_step: 500, steps: 1000}}`.

    The factor multiplies the task's weight in `model.loss_weights`; the logged `weights/<task>` is the product. It is a
    function of the step alone, so a resumed run and every rank have the same. A task whose weight is 0 still runs; to
    save its computation too, take `TaskScheduling`.

    Args:
        tasks: how the weight of each task moves; the others stay as they are.

    Raises:
        ValueError: if a task has no head, or a balancing method sets the weights.
    """

    def __init__(self, tasks: dict[str, WeightRamp]) -> None:
        if not tasks:
            raise ValueError("LossWeightSchedule needs `tasks`, such as {depth: {from_step: 500, steps: 1000}}.")
        self.tasks = {n: ramp if isinstance(ramp, WeightRamp) else WeightRamp(**ramp) for n, ramp in tasks.items()}
        self._given: Mapping[str, float] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = _checked(pl_module)
        check_names("LossWeightSchedule: task", self.tasks, "model.heads", module.model.heads)
        if "balance" in module.objective_steps:
            raise ValueError(
                "LossBalancing sets the weights of the tasks, so LossWeightSchedule has no effect. Remove one of them; "
                "the method Curriculum moves from equal weights to another method's."
            )
        self._given = dict(module.loss_weights)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        module = _checked(pl_module)
        moved = {name: self._given[name] * ramp.factor(trainer.global_step) for name, ramp in self.tasks.items()}
        module.loss_weights = {**self._given, **moved}

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _checked(pl_module).loss_weights = dict(self._given)


def _checked(module: LightningModule) -> MultiTaskLightningModule:
    if not isinstance(module, MultiTaskLightningModule):
        raise ValueError(f"LossWeightSchedule needs a MultiTaskLightningModule; found {type(module).__name__}.")
    return module
