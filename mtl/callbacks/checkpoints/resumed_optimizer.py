"""`ResumedOptimizer`: refuses to resume with another optimiser, or with settings of it that would have no effect."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mtl.config.yaml_lines import ConfigError

Group = Mapping[str, Any]


class ResumedOptimizer(Callback):
    """The state of an optimiser holds its settings, so a checkpoint brings its own learning rate and weight decay.

    What this run sets is compared with what the checkpoint has brought, before the first step.
    """

    from_config: ClassVar[bool] = False

    def __init__(self) -> None:
        self._set: list[list[dict[str, Any]]] = []  # of every optimiser, the settings of its groups

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


_WAYS = "Leave optim.optimizer as it was, or start a new run with these weights: --model.init_from.run CHECKPOINT."


def _settings(group: Group) -> dict[str, Any]:
    """The numbers of a group by name: its peak learning rate as `lr`, not the one of this step."""
    found: dict[str, Any] = {}
    for name, value in group.items():
        number = value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value
        if name in ("params", "lr", "initial_lr"):
            continue
        if type(number) in (int, float):
            found[name] = number
        elif isinstance(number, tuple | list) and all(isinstance(one, float | int) for one in number):
            found[name] = tuple(number)
    peak = group.get("initial_lr", group["lr"])
    return {**found, "lr": peak.item() if isinstance(peak, torch.Tensor) else peak}


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
