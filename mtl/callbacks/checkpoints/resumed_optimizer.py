"""`ResumedOptimizer`: refuses to resume with another optimiser or scheduler, or settings that would have no effect."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.config.yaml_lines import ConfigError

Group = Mapping[str, Any]


class ResumedOptimizer(Callback):
    """The state of an optimiser holds its settings, so a checkpoint brings its own learning rate and weight decay.

    What this run sets is compared with what the checkpoint has brought, before the first step. The state of a scheduler
    (`optim.scheduler`) holds its settings as well.
    """

    from_config: ClassVar[bool] = False

    def __init__(self) -> None:
        self._set: list[list[dict[str, Any]]] = []  # of every optimiser, the settings of its groups

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        before, now = (_scheduler(one) for one in (checkpoint.get("hyper_parameters"), pl_module.hparams))
        if trainer.state.fn == "fit" and before is not None and now is not None and before != now:
            new, old = _differences(now, before)
            if new != old:
                ways = _WAYS.replace("optim.optimizer", "optim.scheduler")
                raise ConfigError(
                    f"optim.scheduler is {new}, and the checkpoint has the state of {old}, so the change would have no "
                    f"effect. {ways}"
                )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._set = [[_settings(group) for group in optimizer.param_groups] for optimizer in trainer.optimizers]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for optimizer, groups in zip(trainer.optimizers, self._set, strict=False):
            lacking = sorted(set(optimizer.defaults) - set(optimizer.param_groups[0]))
            if lacking:
                raise ConfigError(
                    f"the checkpoint has the state of another optimiser: {', '.join(lacking)} of "
                    f"{type(optimizer).__name__} (optim.optimizer) is not in it. {_WAYS}"
                )
            for ours, group in zip(groups, optimizer.param_groups, strict=False):
                theirs = _settings(group)
                for name, value in ours.items():
                    if name in theirs and theirs[name] != value:
                        raise ConfigError(
                            f"optim.optimizer has {name}={_shown(value)}, and the checkpoint has "
                            f"{name}={_shown(theirs[name])}, so the change would have no effect. {_WAYS}"
                        )


_ENDS = ("base_momentum", "max_momentum")  # in the groups of schedules that move the momentum, or the first beta
_WAYS = "Leave optim.optimizer as it was, or start a new run with these weights: --model.init_from.run CHECKPOINT."


def _settings(group: Group) -> dict[str, Any]:
    """The numbers of a group by name: its peak learning rate as `lr`, and no momentum, as they are at this step."""
    found: dict[str, Any] = {}
    moves = any(end in group for end in _ENDS)
    for name, value in group.items():
        number = value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value
        if name in ("params", "lr", "initial_lr") or (moves and name == "momentum"):
            continue
        if type(number) in (int, float):
            found[name] = number
        elif isinstance(number, tuple | list) and all(isinstance(one, float | int) for one in number):
            found[name] = tuple(number[1:] if moves and name == "betas" else number)
    peak = group.get("initial_lr", group["lr"])
    return {**found, "lr": peak.item() if isinstance(peak, torch.Tensor) else peak}


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _scheduler(settings: Any) -> dict[str, Any] | None:
    """The scheduler that the settings of a module name, empty without one; None if they do not say it."""
    optim = settings.get("optim") if isinstance(settings, Mapping) else None
    return None if optim is None else dict(optim.get("init_args", {}).get("scheduler") or {})


def _differences(*schedulers: Group) -> list[str]:
    """Each of two schedulers by its class and the arguments in which they differ."""
    arguments = [one.get("init_args") or {} for one in schedulers]
    # an argument that one release of PyTorch has and the other has not is no change
    both = arguments[0].keys() & arguments[1].keys()
    names = [name for name in arguments[0] if name in both and arguments[0][name] != arguments[1][name]]
    classes = [str(one.get("class_path", "schedule")).rpartition(".")[2] for one in schedulers]
    told = [", ".join(f"{name}={of[name]}" for name in names) for of in arguments]
    return [f"{cls}({text})" if text else cls for cls, text in zip(classes, told, strict=True)]
