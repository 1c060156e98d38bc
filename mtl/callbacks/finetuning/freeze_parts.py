"""`FreezeParts`: keep parts of the model as they are, for good or until an epoch or a step; then they learn."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from mtl.callbacks.model_parts import model_of
from mtl.distributed.ranks import average_over_ranks_
from mtl.errors import did_you_mean
from mtl.optim import named_parts


class FreezeParts(Callback):
    """Freeze parts of the model, and let them learn after some epochs or optimiser steps.

    A frozen parameter gets no gradient, no step and no weight decay, and balancing methods leave it out. When it
    learns, it has the learning rate that the schedule and `optim.lr_factors` give it at that step. A resumed run is
    frozen and learns as the run that was not interrupted. DDP knows only what learns at the start: the gradients of
    what learns later are averaged over ranks here. A parameter in the parts of several of these callbacks learns when
    all of them have let it go.

    Args:
        parts: what to freeze, by the start of the parameters' names as in `lr_factors`, such as `backbone` or
            `heads.boxes`.
        epochs: epochs after which the parts learn.
        steps: optimiser steps after which they learn. Without `epochs` and `steps` they never do.
        norms: keep the statistics of their batch norms, too.

    Raises:
        ValueError: without parts, or for a number below 1, or two of them.
    """

    def __init__(
        self, parts: list[str], epochs: int | None = None, steps: int | None = None, norms: bool = True
    ) -> None:
        if not parts:
            raise ValueError("FreezeParts needs parts, such as [backbone]; found none.")
        if epochs is not None and steps is not None:
            raise ValueError(f"FreezeParts has epochs={epochs} and steps={steps}; give one of them.")
        if min(epochs or 1, steps or 1) < 1 or 0 in (epochs, steps):
            raise ValueError(f"FreezeParts epochs={epochs} and steps={steps} must be at least 1, or null for never.")
        self.parts = list(parts)
        self.epochs = epochs
        self.steps = steps
        self.norms = norms
        self._frozen: list[nn.Parameter] = []
        self._norms: list[nn.Module] = []
        self._holds = False
        self._others: list[FreezeParts] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if self.learns_later and trainer.world_size > 1 and not isinstance(trainer.strategy, DDPStrategy):
            raise ValueError(
                "FreezeParts lets parts learn later on several ranks under DDP alone, where each rank has the whole "
                f"model; the strategy is {type(trainer.strategy).__name__}. Train with trainer.strategy ddp, or in two "
                "runs: the second without FreezeParts and with model.init_from of the first."
            )
        model = model_of(pl_module)
        places = dict(named_parts(model))
        for part in self.parts:
            if not any(f"{name}.".startswith(f"{part}.") for name in places):
                known = sorted({".".join(name.split(".")[:depth]) for name in places for depth in (1, 2)})
                raise ValueError(
                    f"FreezeParts: no parameter is in part {part!r}.{did_you_mean(part, known)} Parts are "
                    f"{', '.join(known)}."
                )
        found = getattr(trainer, "callbacks", [])
        self._others = [one for one in found if isinstance(one, FreezeParts) and one is not self]
        # what is frozen already, such as the trunk below adapters, stays frozen; what another of these callbacks has
        # frozen is held by both
        held = {id(p) for other in self._others for p in other._frozen if other._holds}
        self._frozen = [p for name, p in places.items() if self._is_in(name) and (p.requires_grad or id(p) in held)]
        self._norms = [
            module
            for name, module in model.named_modules()
            if self.norms and isinstance(module, nn.modules.batchnorm._NormBase) and self._is_in(_plain(name))
        ]
        if not any(p.requires_grad and not self._is_in(name) for name, p in places.items()):
            raise ValueError(f"FreezeParts freezes all that learns ({', '.join(self.parts)}); leave a part out.")
        self._freeze(True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(trainer)  # a resumed run may be over it

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._follow(trainer)  # where a run resumes between two epochs, the second has no other hook
        if self._holds:  # at each batch: `module.train()` wakes them
            for norm in self._norms:
                norm.eval()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # a mean of what DDP or a balancing method has averaged already changes nothing
        if trainer.world_size > 1 and self.learns_later and not self._holds:
            for parameter in self._frozen:
                if parameter.grad is not None:
                    average_over_ranks_(parameter.grad)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.steps is not None:
            self._follow(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._freeze(False)
            self._frozen, self._norms, self._others = [], [], []

    @property
    def learns_later(self) -> bool:
        """Whether the parts are to learn at some time."""
        return self.epochs is not None or self.steps is not None

    def averages(self, parameter: nn.Parameter) -> bool:
        """Whether the gradient of a parameter is averaged over ranks here.

        Args:
            parameter: the parameter.
        """
        return self.learns_later and any(parameter is mine for mine in self._frozen)

    def _follow(self, trainer: Trainer) -> None:
        if self._holds and self._is_over(trainer):
            self._freeze(False)

    def _is_over(self, trainer: Trainer) -> bool:
        if self.steps is not None:
            return trainer.global_step >= self.steps
        return self.epochs is not None and trainer.current_epoch >= self.epochs

    def _is_in(self, name: str) -> bool:
        return any(f"{name}.".startswith(f"{part}.") for part in self.parts)

    def _freeze(self, frozen: bool) -> None:
        self._holds = frozen and bool(self._frozen)
        still = [other for other in self._others if other._holds]
        held = {id(one) for other in still for one in (*other._frozen, *other._norms)}
        for parameter in self._frozen:
            parameter.requires_grad_(not frozen and id(parameter) not in held)
        for norm in self._norms if not frozen else ():
            if id(norm) not in held:
                norm.train()


def may_learn_later(trainer: Trainer) -> bool:
    """Whether a callback lets frozen parameters learn in the middle of a run.

    Args:
        trainer: the trainer.
    """
    found = getattr(trainer, "callbacks", [])
    return any(isinstance(one, BaseFinetuning) or (isinstance(one, FreezeParts) and one.learns_later) for one in found)


def learn_at_once(trainer: Trainer, parameters: Iterable[nn.Parameter]) -> bool:
    """Whether all of these parameters that ever learn begin to do so at the same time.

    Args:
        trainer: the trainer, when `setup` is done.
        parameters: of the model.
    """
    ours = [one for one in getattr(trainer, "callbacks", []) if isinstance(one, FreezeParts)]
    frozen = [{id(parameter) for parameter in one._frozen} for one in ours]
    times = set()  # by which callbacks a parameter is held
    for parameter in parameters:
        holders = [one for one, held in zip(ours, frozen, strict=True) if id(parameter) in held]
        if all(one.learns_later for one in holders) and (holders or parameter.requires_grad):
            times.add(tuple((one.epochs, one.steps) for one in holders))
    return len(times) <= 1


def _plain(name: str) -> str:
    return name.removeprefix("trunk.")
