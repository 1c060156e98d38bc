"""What a run refuses before it begins: trainer settings under which it trains or measures nothing, wrong monitors."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from mtl.backbones.backbone import Backbone
from mtl.config.merge import Config
from mtl.config.yaml_lines import ConfigError, KeyPath
from mtl.data.module import JointDataModule
from mtl.errors import did_you_mean
from mtl.evaluation.log_keys import monitored_keys, what_is_wrong
from mtl.features import MASK
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule

_log = logging.getLogger(__name__)
_NO_STEP = "nothing would be trained. To measure a trained model: `python -m mtl test --run RUN`"
_NO_TEST = "the test would measure nothing. Leave it out, or switch the test off with --test_after_fit false"
# what a setting of a training must be, and why
_OF_FIT: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "max_steps": (lambda value: value != 0, _NO_STEP),
    "max_epochs": (lambda value: value != 0, _NO_STEP),
    "max_time": (lambda value: _lasts(value), _NO_STEP),
    "limit_train_batches": (lambda value: value > 0, _NO_STEP),
    "check_val_every_n_epoch": (
        lambda value: value >= 1,
        "it must be at least 1, or null to count batches over epochs. For no validation: trainer.limit_val_batches 0",
    ),
    "val_check_interval": (
        # by the clock, ranks would validate at different steps, and so would a run that is resumed or repeated
        lambda value: isinstance(value, int | float) and value > 0,
        "it must be above 0: a number of batches, or a share of an epoch such as 0.25; not a time",
    ),
    "accumulate_grad_batches": (lambda value: value >= 1, "it must be at least 1, which accumulates nothing"),
    "gradient_clip_val": (
        lambda value: 0 < value < math.inf,
        "Lightning would not clip at all. Give a norm above 0, or null for no clipping",
    ),
    "log_every_n_steps": (lambda value: value >= 1, "it must be at least 1. For no logs: trainer.logger false"),
    "overfit_batches": (lambda value: value >= 0, "it must be 0 for off, a number of batches, or a share below 1"),
    "num_sanity_val_steps": (lambda value: value >= -1, "it must be a number of batches, 0 for none, or -1 for all"),
    "min_steps": (lambda value: value >= 0, "it must be at least 0"),
    "min_epochs": (lambda value: value >= 0, "it must be at least 0"),
}
_OF_ANY: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{
        f"limit_{split}_batches": (
            lambda value: value >= 0,
            "it must be a number of batches, or a share of them from 0 to 1.0",
        )
        for split in ("val", "test", "predict")
    },
    "num_nodes": (lambda value: value >= 1, "it must be a number of machines from 1"),
    "model_registry": (lambda value: False, "a run keeps its checkpoints in its folder and sends them nowhere"),
}


def check_trainer(options: Mapping[str, Any], command: str, config: Config, tests: bool = True) -> None:
    """Refuse settings of the trainer with which nothing is trained, or which Lightning takes for something else.

    Args:
        options: the settings.
        command: the subcommand.
        config: the merged config, which knows the lines.
        tests: whether a test follows a training.

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
    for name, (is_right, reason) in {**_OF_ANY, **(_OF_FIT if command == "fit" else {})}.items():
        value = options.get(name)
        if value is not None and not is_right(value):
            raise ConfigError(f"trainer.{name} is {value}: {reason}.", config.origin(("trainer", name)))
    for name, reason in _together(options, command, tests):
        raise ConfigError(f"trainer.{name} is {options[name]}: {reason}.", config.origin(("trainer", name)))


def check_shares(data: JointDataModule, trainer: Trainer, tests: bool, config: Config) -> None:
    """Refuse a share of the validation or test batches that is less than one batch; Lightning finds it when it is due.

    Args:
        data: the data module.
        trainer: the trainer, before its fit.
        tests: whether a test follows.
        config: the merged config, which knows the lines.

    Raises:
        ConfigError: naming the setting and the smallest share.
    """
    data.trainer = trainer  # which knows the number of ranks
    for stage, split in (("fit", "val"), ("test", "test")):
        name = f"limit_{split}_batches"
        share = getattr(trainer, name)
        if not isinstance(share, float) or not 0 < share < 1 or (split == "test" and not tests):
            continue
        data.setup(stage)
        number = len(getattr(data, f"{split}_dataloader")())
        if number and int(number * share) < 1:
            # which Lightning takes for the limits of training and validation too
            given = "overfit_batches" if split == "val" and share == getattr(trainer, "overfit_batches", 0) else name
            raise ConfigError(
                f"trainer.{given} is {share}, and that is less than one of the {number} {split} batches. Give at least "
                f"{math.ceil(100 / number) / 100}, or a number of batches.", config.origin(("trainer", given)),
            )  # fmt: skip


def tell_unread_inputs(model: MultiTaskModel) -> None:
    """Log a warning for inputs that the data give and no part of the model reads: it trains, without what they say.

    Args:
        model: the model.
    """
    read = {name.removesuffix(MASK) for part in model.modules() if isinstance(part, Backbone) for name in part.inputs}
    if idle := [name for name in model.inputs if name not in read]:
        _log.warning(
            "no part of the model reads the input %s. A backbone that joins several inputs does (`python -m mtl list "
            "backbones`, mtl/backbones/fusion); or leave it out of the data.", ", ".join(map(repr, idle)),
        )  # fmt: skip


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


def _lasts(value: Any) -> bool:
    """Whether a time is longer than nothing; one that is no time is for Lightning to refuse."""
    if isinstance(value, timedelta):
        return value > timedelta(0)
    return any(value.values()) if isinstance(value, dict) else bool(set(str(value)) - set("0:"))


def _together(options: Mapping[str, Any], command: str, tests: bool) -> list[tuple[str, str]]:
    """Settings that other settings leave without a meaning, and why."""
    given = {name: value for name, value in options.items() if value is not None}
    training, found = command == "fit", []
    measured = "val" if command == "validate" else "test"
    if (tests or not training) and given.get(f"limit_{measured}_batches") == 0:
        found.append((f"limit_{measured}_batches", _NO_TEST if training else "it would measure nothing. Leave it out"))
    if given.get("barebones") and (tests or not training):
        found.append(("barebones", "it logs, saves and measures nothing. For its speed alone: --test_after_fit false"))
    for unit in ("steps", "epochs") if training else ():
        most = given.get(f"max_{unit}", -1)
        if -1 < most < given.get(f"min_{unit}", 0):
            found.append((f"min_{unit}", f"the run ends at trainer.max_{unit} {most}. Lower one or raise the other"))
    if training and "gradient_clip_algorithm" in given and "gradient_clip_val" not in given:
        found.append(("gradient_clip_algorithm", "without trainer.gradient_clip_val nothing is clipped. Give both"))
    return found
