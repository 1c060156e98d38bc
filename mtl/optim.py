"""Optimiser, learning rates per part of the model, and a schedule counted in steps."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from mtl.backbones.backbone import StagedBackbone
from mtl.distributed.dtensor import is_sharded
from mtl.errors import did_you_mean

OptimizerCallable = Callable[[Iterable[Any]], Optimizer]  # a class of `torch.optim` with its arguments, in a config
SchedulerCallable = Callable[[Optimizer], LRScheduler]  # of `torch.optim.lr_scheduler` likewise
FUSED_DEVICES = ("cpu", "cuda", "mps", "xpu")
_POWER = 0.9  # Chen et al., "DeepLab", arXiv:1606.00915
_log = logging.getLogger(__name__)


class Optim:
    """How the model is optimised: one optimiser, a factor on the learning rate for each part, warm-up and decay.

    Args:
        optimizer: any `torch.optim` class with its arguments; AdamW with lr 1e-3 by default.
        lr_factors: factor on the learning rate of parts of the model, by the start of their parameters' names, for
            example `{backbone: 0.1, heads.boxes: 2}`. The longest matching start wins.
        decay_matrices_only: apply weight decay to matrices and filters only, not to biases and norms.
        schedule: after the warm-up `cosine` falls to `final_lr`, `polynomial` falls to it as (1 - share done)^0.9, as
            DeepLab does, `constant` stays, `step` falls to `final_lr` at once when half of all steps are done, as in
            the published protocols of dense tasks.
        warmup_steps: steps of linear warm-up; a value below 1 is a share of all steps.
        final_lr: learning rate at the end, as a share of the peak.
        layer_decay: factor on the learning rate for each stage further from the heads, for backbones in stages: the
            last stage has `layer_decay`, the one before its square, and so on; 1 for none. It multiplies `lr_factors`.
        scheduler: a class of `torch.optim.lr_scheduler` with its arguments, stepped after every optimiser step, in
            place of `schedule`, `warmup_steps` and `final_lr`.
        fused: let one kernel update all parameters where PyTorch has one (Adam, AdamW, SGD, Adagrad), unless the
            optimiser is given `fused` or `foreach` itself; a step of ResNet-18 took 0.83 of the time on a CPU.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable | None = None,
        lr_factors: dict[str, float] | None = None,
        decay_matrices_only: bool = True,
        schedule: Literal["cosine", "polynomial", "constant", "step"] = "cosine",
        warmup_steps: float = 0.1,
        final_lr: float = 0.0,
        fused: bool = True,
        layer_decay: float = 1.0,
        scheduler: SchedulerCallable | None = None,
    ) -> None:
        if not 0 < layer_decay <= 1:
            raise ValueError(f"layer_decay={layer_decay} must be above 0 and at most 1, such as 0.75.")
        if scheduler is not None and (schedule, warmup_steps, final_lr) != ("cosine", 0.1, 0.0):
            raise ValueError(
                f"optim.scheduler sets the learning rate alone, so schedule={schedule}, warmup_steps={warmup_steps} "
                f"and final_lr={final_lr} have no effect. Remove them, or remove scheduler."
            )
        if warmup_steps < 0 or not 0 <= final_lr <= 1:
            raise ValueError(f"warmup_steps={warmup_steps} must be >= 0 and final_lr={final_lr} within 0..1.")
        self.optimizer: Callable[[Iterable[Any]], Optimizer] = optimizer or _default_optimizer
        self.lr_factors = dict(lr_factors or {})
        self.decay_matrices_only = decay_matrices_only
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.final_lr = final_lr
        self.fused = fused
        self.layer_decay = layer_decay
        self.scheduler = scheduler

    def build(
        self,
        model: nn.Module,
        num_steps: float,
        more_groups: Sequence[dict[str, Any]] = (),
        with_frozen: bool = True,
    ) -> tuple[Optimizer, LRScheduler]:
        """The optimiser and its schedule, stepped after every optimiser step.

        Args:
            model: the module whose parameters are optimised.
            num_steps: optimiser steps of the whole run; -1 or infinite if nobody knows, as Lightning says it.
            more_groups: parameter groups that are taken as they are, for learned task weights.
            with_frozen: put parameters that are frozen into their groups too, where they have no gradient and make no
                step; to let them learn later, `requires_grad_(True)` is all it takes.

        Raises:
            ValueError: if a key of `lr_factors` fits no parameter, the schedule needs a number of steps that is not
                known, or the optimiser takes one group only.
        """
        # no length of the training loader gives -1, a run that only the clock limits gives infinity
        steps = int(num_steps) if 0 <= num_steps < math.inf else None
        if self.scheduler is None:
            self._check_steps(steps)
        depths = stage_depths(model) if self.layer_decay != 1 else {}
        groups: dict[tuple[str, bool, int], dict[str, Any]] = {}
        used = set()
        for name, parameter in named_parts(model):
            if not parameter.requires_grad and not with_frozen:
                continue
            part = max((key for key in self.lr_factors if f"{name}.".startswith(f"{key}.")), key=len, default="")
            used.add(part)
            decayed = parameter.ndim > 1 or not self.decay_matrices_only
            depth = depths.get(id(parameter), 0)
            label = f"{part or 'model'}{f'/depth{depth}' if depth else ''}{'' if decayed else '/no_decay'}"
            group = groups.setdefault((part, decayed, depth), {"params": [], "name": label})
            group["params"].append(parameter)
            if not decayed:
                group["weight_decay"] = 0.0
        for key in self.lr_factors:
            self._check_part(model, key, key in used)
        optimizer = self._make([*groups.values(), *more_groups])
        factors = [self.lr_factors.get(part, 1.0) * self.layer_decay**depth for part, _, depth in groups]
        factors += [1.0] * len(more_groups)
        for factor, group in zip(factors, optimizer.param_groups, strict=True):
            # not in place: a learning rate that is a tensor is one and the same in all groups
            group["lr"] = group["lr"] * factor
        self._warn_where_nothing_learns(optimizer, steps)
        if self.fused:
            _fuse(optimizer)
        if self.scheduler is not None:
            rates = [group["lr"] for group in optimizer.param_groups]
            schedule = self._make_scheduler(self.scheduler, optimizer)
            _refuse_one_rate(schedule, optimizer, rates)
            end = getattr(schedule, "total_steps", None)  # of OneCycleLR, which fails behind it
            if steps is not None and end is not None and steps > end:
                raise ValueError(
                    f"{type(schedule).__name__} of optim.scheduler ends after {end} steps, and this run makes {steps}. "
                    f"Set its total_steps to {steps}."
                )
            return optimizer, schedule
        return optimizer, _Schedule(optimizer, lambda step: self.factor(step, steps))

    def _warn_where_nothing_learns(self, optimizer: Optimizer, steps: int | None) -> None:
        if not any(bool(group["lr"] != 0) for group in optimizer.param_groups):
            _log.warning("the learning rate is 0: this run trains nothing. Set the lr of optim.optimizer.")
        elif self.scheduler is None and steps and self.warmup_steps >= max(steps, 1):
            _log.warning(
                "optim.warmup_steps=%g is no less than the %d steps of this run, so the learning rate reaches at most "
                "%.2g of what is set. Set fewer, or a share of all steps below 1.",
                self.warmup_steps, steps, self.factor(steps - 1, steps),
            )  # fmt: skip

    @staticmethod
    def _make_scheduler(make: SchedulerCallable, optimizer: Optimizer) -> LRScheduler:
        try:
            schedule = make(optimizer)
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise ValueError(f"the scheduler of optim.scheduler refuses its settings: {error}.") from error
        if isinstance(schedule, ReduceLROnPlateau):
            raise ValueError(
                "ReduceLROnPlateau wants a metric at every step, and schedules here are stepped after optimiser steps. "
                "Take optim.schedule: cosine, or another class of torch.optim.lr_scheduler."
            )
        return schedule

    def _check_part(self, model: nn.Module, key: str, used: bool) -> None:
        learns = [p.requires_grad for name, p in named_parts(model) if f"{name}.".startswith(f"{key}.")]
        if learns and not any(learns):
            _log.warning(
                "optim.lr_factors names %r, which is frozen: it has no effect unless a callback, such as FreezeParts, "
                "lets it learn later.", key,
            )  # fmt: skip
        elif not used:
            parts = {".".join(name.split(".")[:depth]) for name, _ in named_parts(model) for depth in (1, 2)}
            raise ValueError(
                f"lr_factors names {key!r}, which holds no trainable parameter.{did_you_mean(key, parts)} "
                f"Parts are {', '.join(sorted(parts))}."
            )

    def _check_steps(self, num_steps: int | None) -> None:
        needs = [f"schedule: {self.schedule}"] if self.schedule != "constant" else []
        needs += [f"warmup_steps: {self.warmup_steps:g}, a share of all steps"] if 0 < self.warmup_steps < 1 else []
        if num_steps is None and needs:
            raise ValueError(
                "nobody knows how many optimiser steps this run has: the training loader has no length, or the run has "
                f"no limit but max_time. The learning rate needs it ({' and '.join(needs)}). Set trainer.max_steps, or "
                "optim.schedule to constant and optim.warmup_steps to a number of steps (0 for none)."
            )

    def _make(self, groups: list[dict[str, Any]]) -> Optimizer:
        try:
            return self.optimizer(groups)
        except ValueError as error:
            if "per-parameter options" not in str(error):
                raise ValueError(
                    f"the optimiser of optim.optimizer refuses its settings: {error}. Change that number."
                ) from error
            names = ", ".join(str(group.get("name")) for group in groups)
            raise ValueError(
                f"optim.optimizer takes all parameters as one group, and there are {len(groups)}: {names}. Set "
                "optim.decay_matrices_only to false, remove optim.lr_factors and methods that learn task weights, or "
                "take an optimiser with groups, such as AdamW."
            ) from error

    def factor(self, step: int, num_steps: int | None) -> float:
        """Share of the peak learning rate at a step.

        Args:
            step: optimiser steps done.
            num_steps: optimiser steps of the whole run; None if nobody knows, for a schedule that does not need it.
        """
        warmup = self.warmup_steps * (num_steps or 0) if self.warmup_steps < 1 else self.warmup_steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.schedule == "constant" or num_steps is None:
            return 1.0
        if self.schedule == "step":
            return 1.0 if step < num_steps / 2 else self.final_lr
        done = min(1.0, (step - warmup) / max(1.0, num_steps - warmup))
        left = (1 - done) ** _POWER if self.schedule == "polynomial" else (1 + math.cos(math.pi * done)) / 2
        return self.final_lr + (1 - self.final_lr) * left


class _Schedule(LambdaLR):
    """One factor for all groups; a group that joins later follows it from the learning rate that it came with."""

    def get_lr(self) -> list[float | Tensor]:
        factor = self.lr_lambdas[0]
        groups = self.optimizer.param_groups
        for group in groups[len(self.base_lrs) :]:
            now = factor(max(self.last_epoch - 1, 0))
            self.base_lrs.append(group["lr"] / now if now else group["lr"])
        self.lr_lambdas += [factor] * (len(groups) - len(self.lr_lambdas))
        return super().get_lr()


def _refuse_one_rate(schedule: LRScheduler, optimizer: Optimizer, rates: Sequence[float | Tensor]) -> None:
    """Refuse a scheduler that has set rates of its own, all equal, where the groups had different ones."""
    groups = optimizer.param_groups
    peaks = getattr(schedule, "max_lrs", [group.get("max_lr", group.get("initial_lr")) for group in groups])
    if len(set(peaks)) == 1 and len({float(rate) for rate in rates}) > 1:
        name = type(schedule).__name__
        raise ValueError(
            f"{name} of optim.scheduler sets the learning rates itself, the same for all, so optim.lr_factors, "
            f"optim.layer_decay and a rate of the balancing method have no effect. Give its `max_lr` one number for "
            f"each of {', '.join(str(group.get('name')) for group in groups)}, or take a scheduler that multiplies, "
            "such as CosineAnnealingWarmRestarts."
        )


def named_parts(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters by the names that people use: `backbone.stem.0.weight` for `trunk.backbone.stem.0.weight`.

    Args:
        model: the model.
    """
    for name, parameter in model.named_parameters():
        yield name.removeprefix("trunk."), parameter


def stage_depths(model: nn.Module) -> dict[int, int]:
    """How many stages each parameter of a backbone lies below the heads, by its `id`: 1 in the last stage.

    What a backbone uses before its first stage lies below that; what it makes of the stages' outputs is not listed.

    Args:
        model: the model.

    Raises:
        ValueError: if no backbone of it runs in stages.
    """
    depths: dict[int, int] = {}
    for backbone in (part for part in model.modules() if isinstance(part, StagedBackbone)):
        stages = backbone.stages()
        for number, stage in enumerate(stages):
            depths |= {id(parameter): len(stages) - number for parameter in stage.parameters()}
        for parameter in backbone.parameters():  # in the order of their definition
            if id(parameter) in depths:
                break
            depths[id(parameter)] = len(stages) + 1
    if not depths:
        raise ValueError(
            "optim.layer_decay works on the stages of a backbone, and this one is one piece. Set optim.lr_factors, "
            "such as {backbone: 0.1}."
        )
    return depths


def _fuse(optimizer: Optimizer) -> None:
    # in the groups, not in the constructor: there the optimiser would also claim to unscale gradients of 16 bits, and
    # Lightning then refuses to clip them
    for group in optimizer.param_groups:
        there = all(parameter.device.type in FUSED_DEVICES for parameter in group["params"])
        if is_sharded(group["params"]):  # PyTorch 2.15 has no fused SGD of shards
            there = there and isinstance(optimizer, Adam | AdamW)
        if there and group.get("fused", False) is None and not group.get("foreach") and not group.get("dampening"):
            group["fused"] = True
    if isinstance(optimizer, SGD):
        optimizer.register_step_pre_hook(_begin_momentum)


def _begin_momentum(optimizer: Optimizer, *_: Any) -> None:
    """Momentum 0 for parameters that make their first step later than others; PyTorch's fused SGD (2.14) wants it."""
    for group in optimizer.param_groups:
        if group["fused"] and group["momentum"]:
            # gradients are not there yet: Lightning computes them inside of `step`
            states = [(p, optimizer.state[p]) for p in group["params"] if p.requires_grad]
            late = [(p, state) for p, state in states if state.get("momentum_buffer") is None]
            for parameter, state in late if len(late) < len(states) else []:
                state["momentum_buffer"] = torch.zeros_like(parameter)


def _default_optimizer(parameters: Iterable[Any]) -> Optimizer:
    return AdamW(parameters, lr=1e-3)
