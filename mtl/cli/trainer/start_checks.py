"""What a run refuses before it begins: trainer settings under which nothing is trained, and monitors without a key."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from mtl.config.merge import Config
from mtl.config.yaml_lines import ConfigError, KeyPath
from mtl.errors import did_you_mean
from mtl.evaluation.log_keys import monitored_keys, what_is_wrong
from mtl.module import MultiTaskLightningModule

_log = logging.getLogger(__name__)
_NO_STEP = "nothing would be trained. To measure a trained model: `python -m mtl test --run RUN`"
_SMALLEST: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "max_steps": (lambda value: value != 0, _NO_STEP),
    "max_epochs": (lambda value: value != 0, _NO_STEP),
    "max_time": (lambda value: not isinstance(value, str) or bool(set(value) - set("0:")), _NO_STEP),
    "limit_train_batches": (lambda value: value > 0, _NO_STEP),
    "check_val_every_n_epoch": (
        lambda value: value >= 1,
        "it must be at least 1, or null to count batches over epochs. For no validation: trainer.limit_val_batches 0",
    ),
    "val_check_interval": (
        lambda value: not isinstance(value, int | float) or value > 0,
        "it must be above 0: a number of batches, or a share of an epoch such as 0.25",
    ),
    "accumulate_grad_batches": (lambda value: value >= 1, "it must be at least 1, which accumulates nothing"),
    "gradient_clip_val": (
        lambda value: value > 0,
        "Lightning would not clip at all. Give a norm above 0, or null for no clipping",
    ),
    "log_every_n_steps": (lambda value: value >= 1, "it must be at least 1. For no logs: trainer.logger false"),
    "overfit_batches": (lambda value: value >= 0, "it must be 0 for off, a number of batches, or a share below 1"),
}


def check_trainer(options: Mapping[str, Any], command: str, config: Config) -> None:
    """Refuse settings of the trainer with which nothing is trained, or which Lightning takes for something else.

    Args:
        options: the settings.
        command: the subcommand.
        config: the merged config, which knows the lines.

    Raises:
        ConfigError: naming the first one, and what it may be.
    """
    accelerator, devices = options.get("accelerator"), str(options.get("devices"))
    if accelerator in ("gpu", "cuda", "mps") and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ConfigError(
            f"trainer.accelerator is {accelerator}, and torch finds no GPU here. Set it to cpu or auto, or install a "
            "torch that is built for the GPU.",
            config.origin(("trainer", "accelerator")),
        )
    if devices.lstrip("-").isdigit() and int(devices) < 1 and int(devices) != -1:
        raise ConfigError(
            f"trainer.devices is {devices}: it must be a number of processes from 1, a list of devices, or auto.",
            config.origin(("trainer", "devices")),
        )
    for name, (is_right, reason) in _SMALLEST.items():
        value = options.get(name)
        if command == "fit" and value is not None and not is_right(value):
            raise ConfigError(f"trainer.{name} is {value}: {reason}.", config.origin(("trainer", name)))


def check_monitors(
    callbacks: Sequence[Callback], given: int, module: MultiTaskLightningModule, limit_val: Any, config: Config
) -> None:
    """Refuse callbacks that wait for a number which nothing logs, or take the worse value for the better one.

    Args:
        callbacks: the run's callbacks; the user's come first.
        given: how many the user gave.
        module: the module, which knows the heads.
        limit_val: `trainer.limit_val_batches`.
        config: the merged config, which knows the lines.

    Raises:
        ConfigError: naming the key, what is near, and the line.
    """
    for index, callback in enumerate(callbacks):
        if not isinstance(callback, EarlyStopping | ModelCheckpoint) or callback.monitor is None:
            continue
        place: KeyPath = ("trainer", "callbacks", str(index), "init_args") if index < given else ("checkpoint",)
        where = type(callback).__name__ if index < given else "checkpoint"
        known, unknown = monitored_keys(module)
        wrong = what_is_wrong(callback.monitor, callback.mode, known, unknown)
        if wrong is not None and callback.monitor in known:
            origin = config.origin((*place, "mode" if (*place, "mode") in config.origins else "monitor"))
            raise ConfigError(
                f"{where} monitors {callback.monitor!r} with mode {callback.mode!r}, and {wrong}: it would keep the "
                f"worst. Set mode to {known[callback.monitor]!r}.",
                origin,
            )
        if wrong is not None:
            hint = did_you_mean(callback.monitor, known)
            told = f"{where} monitors {callback.monitor!r}, which nothing logs.{hint} There are {', '.join(known)}."
            raise ConfigError(told, config.origin((*place, "monitor")))
        if limit_val == 0 and callback.monitor.startswith("val/") and isinstance(callback, EarlyStopping):
            told = f"EarlyStopping monitors {callback.monitor!r}, and trainer.limit_val_batches 0 validates nothing"
            raise ConfigError(f"{told}. Remove one of them.", config.origin((*place, "monitor")))
