"""The sections of a config, and what they say before anything is built."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Trainer

from mtl.callbacks.checkpoints.best_checkpoint import BestCheckpoint
from mtl.callbacks.tracking.loggers import Tracking
from mtl.config.command_line import OPTIONS
from mtl.config.paths import as_name
from mtl.config.schema import Schema
from mtl.data.module import JointDataModule
from mtl.inputs.input import input_kind
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of

SETTINGS: dict[str, tuple[Any, Any, str]] = {
    "seed_everything": (bool | int, 0, "seed of everything random, the data too; true draws one"),
    "experiment": (str | None, None, "folder of this experiment's runs, and W&B project; the config's name by default"),
    "name": (str | None, None, "name of this run's folder; time and a word by default"),
    "runs_root": (str | Path, "runs", "folder of all experiments"),
    "test_after_fit": (bool, True, "test the best checkpoint when training is done"),
}


def make_schema() -> Schema:
    """The keys that a config may have, and their types."""
    sections: dict[str, Any] = {
        "data": JointDataModule,
        "model": MultiTaskLightningModule,
        "trainer": Trainer,
        "checkpoint": BestCheckpoint,
        "tracking": Tracking,
    }
    settings = {name: kind for name, (kind, _, _) in SETTINGS.items()}
    return Schema(
        {**sections, **settings}, [("model", "tasks"), ("model", "inputs")], [option[2:] for option in OPTIONS]
    )


def experiment_of(configs: Sequence[Path]) -> str:
    """Name of an experiment: the name of the first config that is more than a preset; the others are changes to it.

    Args:
        configs: config files in order.
    """
    named = [path for path in configs if path.parent.name != "presets"] or configs
    return as_name(named[0].stem) if named else "default"


def tasks_of(data: Namespace) -> dict[str, dict[str, Any]]:
    """The tasks that a data module declares, as plain values.

    Args:
        data: its `class_path` and `init_args`.
    """
    tasks = _declared(data, "declare_tasks")
    for task in tasks.values():
        target_of(task)  # an unknown kind is an error before anything is built
    return {name: asdict(task) for name, task in tasks.items()}


def inputs_of(data: Namespace) -> dict[str, dict[str, Any]]:
    """The inputs that a data module declares, as plain values.

    Args:
        data: its `class_path` and `init_args`.
    """
    inputs = _declared(data, "declare_inputs")
    for spec in inputs.values():
        input_kind(spec)
    return {name: asdict(spec) for name, spec in inputs.items()}


def _declared(data: Namespace, method: str) -> dict[str, Any]:
    """What a method of a data module gives for the arguments of a config, all of which it must take."""
    cls, arguments = _class_of(data), data.init_args.as_dict()
    declare = getattr(cls, method)
    try:
        signature(declare).bind(**arguments)
    except TypeError as error:
        raise ValueError(
            f"{cls.__name__}.{method} cannot be called: {error}. It gets every argument of the constructor by name "
            f"({', '.join(arguments)}); name those it needs and take the rest: `def {method}(cls, **_)`."
        ) from None
    declared: dict[str, Any] = declare(**arguments)
    return declared


def _class_of(data: Namespace) -> type[JointDataModule]:
    module, _, name = data.class_path.rpartition(".")
    cls: type[JointDataModule] = getattr(import_module(module), name)
    return cls


def give_seed(data: Namespace, written: Any, seed: int) -> None:
    """Give a data module, and the ones that it is made of, a seed where nobody wrote one.

    Args:
        data: class and arguments; changed in place.
        written: the same section as it was written.
        seed: the seed.
    """
    arguments = data.get("init_args") or {}
    own = written.get("init_args") if isinstance(written, dict) else None
    own = own if isinstance(own, dict) else {}
    if "seed" in arguments and "seed" not in own:
        arguments["seed"] = seed
    for key, value in arguments.items():
        if isinstance(value, dict):
            texts = own.get(key)
            for name, part in value.items():
                if isinstance(part, Namespace) and "class_path" in part:
                    give_seed(part, texts.get(name) if isinstance(texts, dict) else None, seed)
