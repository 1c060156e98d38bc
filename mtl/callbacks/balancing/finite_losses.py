"""`FiniteLosses`: a NaN or infinite loss ends the run with the task's name, or the task is left out of the step.

Shapes: K tasks.
"""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mtl.callbacks.logging_steps import is_logging_step
from mtl.distributed.ranks import num_ranks, sum_over_ranks
from mtl.module import MultiTaskLightningModule, Objective

_log = logging.getLogger(__name__)
_NEVER = 2**62
_ADVICE = "Lower the learning rate, clip (trainer.gradient_clip_val), or look at the samples of that step."


class FiniteLosses(Callback):
    """Watches the losses of the tasks before they are summed or balanced.

    `stop` asks a GPU nothing in between: the first bad step of every task is kept there, and read at logging steps and
    before a checkpoint is written, so that no checkpoint holds its effect. One process on a CPU ends at once,
    before the step is made. `drop` must know before the backward pass and waits for the GPU at every step.

    A dropped task counts as one without labels in this batch, on all ranks, for every balancing method. Where no task
    has a finite loss, all gradients are zero. Logged as `dropped/<task>`, the number of batches so far. Statistics of
    batch norms are not repaired: a picture that holds NaN spoils them for good.

    Args:
        on_nonfinite: `stop` ends the run with an error that names task and step; `drop` leaves the task out.
        most_in_row: with `drop`, batches in a row after which a task that is never finite ends the run all the same.

    Raises:
        ValueError: if `most_in_row` is below 1.
    """

    def __init__(self, on_nonfinite: Literal["stop", "drop"] = "stop", most_in_row: int = 20) -> None:
        if most_in_row < 1:
            raise ValueError(f"most_in_row={most_in_row} must be at least 1: so many batches a task may sit out.")
        self.on_nonfinite = on_nonfinite
        self.most_in_row = most_in_row
        self.dropped: dict[str, int] = {}
        self._in_row: dict[str, int] = {}
        self._module: MultiTaskLightningModule | None = None
        self._trainer: Trainer | None = None
        self._first_K: Tensor | None = None  # first bad step of each task, on the device
        self._names: list[str] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, MultiTaskLightningModule):
            return
        self._trainer, self._module = trainer, pl_module
        self._names = list(pl_module.model.heads)
        self._first_K = None
        pl_module.objective_steps["finite"] = self._objective

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._module is None or not is_logging_step(trainer, done=True):
            return
        self._raise_if_not_finite()
        for name, number in self.dropped.items():
            pl_module.log(f"dropped/{name}", float(number))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._raise_if_not_finite()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._leave()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._leave()

    def state_dict(self) -> dict[str, Any]:
        return {"dropped": self.dropped, "in_row": self._in_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.dropped, self._in_row = dict(state_dict["dropped"]), dict(state_dict["in_row"])

    def _objective(self, losses: dict[str, Tensor], rest: Objective) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        assert self._trainer is not None
        bad_K = ~torch.stack([losses[name].detach() for name in losses]).isfinite()
        if self.on_nonfinite == "drop":
            return self._without(losses, rest, [bool(bad) for bad in sum_over_ranks(bad_K.int()).tolist()])
        step = self._trainer.global_step
        if len(losses) < len(self._names):  # some are not trained at this step
            here = [list(losses).index(name) if name in losses else -1 for name in self._names]
            bad_K = torch.stack([bad_K[k] if k >= 0 else bad_K.new_zeros(()) for k in here])
        if self._first_K is None:
            self._first_K = torch.full((len(self._names),), _NEVER, dtype=torch.int64, device=bad_K.device)
        self._first_K = torch.where(bad_K & (self._first_K == _NEVER), step, self._first_K)
        if not _waits(bad_K.device):
            self._raise_if_not_finite()
        return rest(losses)

    def _without(
        self, losses: dict[str, Tensor], rest: Objective, bad: list[bool]
    ) -> tuple[Tensor, Mapping[str, float | Tensor]]:
        """The objective of the tasks whose loss is finite on all ranks."""
        assert self._module is not None
        assert self._trainer is not None
        out = [name for name, is_bad in zip(losses, bad, strict=True) if is_bad]
        self._in_row = {name: self._in_row.get(name, 0) + 1 for name in out}
        if not out:
            return rest(losses)
        for name in out:
            if name not in self.dropped:
                _log.warning(
                    "the loss of task %r is not finite at step %d; the task sits out such batches, which are counted "
                    "as dropped/%s.", name, self._trainer.global_step, name,
                )  # fmt: skip
            self.dropped[name] = self.dropped.get(name, 0) + 1
            if self._in_row[name] >= self.most_in_row:
                raise RuntimeError(
                    f"the loss of task {name!r} was not finite in {self.most_in_row} batches in a row, up to step "
                    f"{self._trainer.global_step}; the weights are probably lost. {_ADVICE}"
                )
        kept = {name: loss for name, loss in losses.items() if name not in out}
        # what only these tasks use gets a zero gradient: DDP waits for every parameter's, and weight decay continues
        learned = [p for p in self._module.model.parameters() if p.requires_grad]
        zero = torch.stack([p.flatten()[0].float() * 0 for p in learned])
        if not kept:
            return zero.sum(), {}
        total, weights = rest(kept)
        return total + zero.sum(), weights

    def _raise_if_not_finite(self) -> None:
        """End the run if a loss was not finite; all ranks come here at the same step."""
        if self._first_K is None or self._trainer is None:
            return
        first_K = self._first_K.clone()
        if num_ranks() > 1:
            dist.all_reduce(first_K, dist.ReduceOp.MIN)
        steps = first_K.tolist()
        if min(steps) == _NEVER:
            return
        bad = [name for name, step in zip(self._names, steps, strict=True) if step == min(steps)]
        named = f"task {bad[0]!r}" if len(bad) == 1 else f"the tasks {', '.join(map(repr, bad))}"
        now = self._trainer.global_step
        self._first_K = None
        raise RuntimeError(
            f"the loss of {named} was not finite at step {min(steps)}"
            f"{f' (seen at step {now})' if now > min(steps) else ''}. No checkpoint was written since. {_ADVICE} To "
            "leave a task out of such batches and continue: callback FiniteLosses with on_nonfinite: drop."
        )

    def _leave(self) -> None:
        if self._module is not None:
            self._module.clear_objective()
        self._module = self._first_K = None


def _waits(device: torch.device) -> bool:
    """Whether a look at a number costs: a GPU finishes its queue first, other ranks must look at the same time."""
    return device.type != "cpu" or num_ranks() > 1
