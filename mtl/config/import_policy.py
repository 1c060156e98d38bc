"""What a config, a flag or a checkpoint may name: classes from short lists, never a function.

A `class_path` is an instruction to import something and call it, and configs and checkpoints travel (papers, issues,
sweeps). Three rules close that door:

1. A name is a public class of `mtl`, one of `EXTERNAL`, or lies in a module that the user allows: by name (`--allow`),
   or by installing it as a paper (`mtl.config.papers`). Every other name is refused before anything is imported.
2. What the name leads to is a class that is defined where rule 1 allows it, and a subclass of what the place expects.
   Functions, methods, instances and modules are refused, in allowed modules too; so are aliases of foreign classes.
3. Both are checked before anything is built: what a config says and what the parser made of it by
   `mtl.config.checks`, and every class once more at the call by `Builder`.
"""

import importlib
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any

from jsonargparse import set_parsing_settings
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from mtl.config.papers import installed_papers
from mtl.config.refused_classes import why_refused
from mtl.config.search_path import add_current_folder

ENV = "MTL_ALLOW"  # modules that a user allows, with commas between
OWN = "mtl"
# By the module that users import them from. Left out is what takes functions (LambdaCallback), sends data
# or keys to an address of the config (MLFlowLogger, WandbLogger, ...), reads checkpoints in its own way
# (TorchCheckpointIO), deletes files that a checkpoint names (ModelCheckpoint), or cannot train what is here, for
# which `refused_classes` has the way out.
EXTERNAL: Mapping[str, tuple[str, ...]] = {
    "torch.optim": (
        "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam",
        "RMSprop", "Rprop", "SGD", "SparseAdam",
    ),
    "torch.optim.lr_scheduler": (
        "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR", "LinearLR", "MultiStepLR",
        "OneCycleLR", "PolynomialLR", "StepLR",
    ),
    "lightning.pytorch.callbacks": (
        "DeviceStatsMonitor", "EarlyStopping", "GradientAccumulationScheduler", "LearningRateMonitor", "ModelSummary",
        "RichModelSummary", "RichProgressBar", "TQDMProgressBar", "Timer",
    ),
    "lightning.pytorch.loggers": ("CSVLogger", "TensorBoardLogger"),
    "lightning.pytorch.profilers": ("AdvancedProfiler", "PassThroughProfiler", "PyTorchProfiler", "SimpleProfiler"),
    "lightning.pytorch.strategies": ("DDPStrategy", "SingleDeviceStrategy"),
    "lightning.pytorch.accelerators": ("CPUAccelerator", "CUDAAccelerator", "MPSAccelerator"),
    "lightning.pytorch.plugins": ("DoublePrecision", "MixedPrecision", "TorchSyncBatchNorm"),
    "lightning.pytorch.plugins.environments": (
        "KubeflowEnvironment", "LSFEnvironment", "LightningEnvironment", "SLURMEnvironment", "TorchElasticEnvironment",
    ),
}  # fmt: skip
# `dict_kwargs` reaches arguments that no signature shows; these pass it on to DistributedDataParallel
TAKES_DICT_KWARGS = (DDPStrategy, ModelParallelStrategy)
PLAIN = (type(None), bool, int, float, complex, str, bytes, PurePath, timedelta, Enum)

_user_modules: set[str] = set()


class ImportRefused(ValueError):
    """A config or a checkpoint names something that it may not.

    Args:
        name: what it names.
        reason: why it is refused, and what to do; a sentence without its subject.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"refused to import {name!r}: {reason}")
        self.name = name


def allow_imports(modules: Iterable[str] = ()) -> None:
    """Apply the policy to every parser of this process, and allow more modules.

    Args:
        modules: dotted names; each lets in the classes of everything below it. Those in MTL_ALLOW and the installed
            papers are let in too.

    Raises:
        ValueError: if a name is not a dotted name.
    """
    for module in [*modules, *os.environ.get(ENV, "").replace(",", " ").split()]:
        if not all(part.isidentifier() for part in module.split(".")):
            raise ValueError(f"{module!r} is not the dotted name of a module, such as `paper` or `paper.heads`.")
        _user_modules.add(module)
    add_current_folder(_user_modules)  # an installed paper needs none
    _user_modules.update(installed_papers())
    settings: dict[str, Any] = {
        "import_path_denylist": ["*"],
        "import_path_allowlist": [OWN, *external_paths(), *sorted(_user_modules)],
        # a spec inside an untyped argument stays a dict, and no config is fetched from an address
        "instantiate_subclass_spec_in_any": False,
        "config_read_mode_urls_enabled": False,
        "config_read_mode_fsspec_enabled": False,
    }
    set_parsing_settings(**settings)


@cache
def external_paths() -> dict[str, type]:
    """Every path that leads to a class of `EXTERNAL`: the public one, and the path of the file that defines it."""
    paths: dict[str, type] = {}
    for module, names in EXTERNAL.items():
        package = importlib.import_module(module)
        for name in names:
            cls = getattr(package, name, None)  # versions differ
            if isinstance(cls, type):
                paths |= {f"{module}.{name}": cls, f"{cls.__module__}.{cls.__qualname__}": cls}
    return paths


def is_allowed(class_path: str) -> bool:
    """Whether a dotted path may be imported, by its name alone.

    Args:
        class_path: dotted path of a class.
    """
    parts = class_path.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    if any(_within(class_path, module) for module in _user_modules):
        return True
    if parts[0] == OWN:
        return not any(part.startswith("_") for part in parts)
    return class_path in external_paths()


def find_class(class_path: str) -> type:
    """The class that an allowed path leads to.

    Args:
        class_path: dotted path of a class.

    Raises:
        ImportRefused: if the path is not allowed, or leads to anything but a class that is defined in an allowed place.
        ImportError: if there is no such module or class.
    """
    if not is_allowed(class_path):
        raise ImportRefused(class_path, refusal(class_path))
    module, _, name = class_path.rpartition(".")
    try:
        value = getattr(_module_or_class(module), name)
    except AttributeError as error:
        raise ImportError(f"module {module!r} has no attribute {name!r}") from error
    check_class(value, class_path)
    assert isinstance(value, type)
    return value


def check_class(value: Any, class_path: str) -> None:
    """Refuse anything but a class, and an alias of a class that is not allowed.

    Args:
        value: what the path leads to.
        class_path: the path.

    Raises:
        ImportRefused: saying which it is.
    """
    if not isinstance(value, type):
        kind = "a function" if callable(value) else f"an object of type {type(value).__name__}"
        raise ImportRefused(class_path, f"it is {kind}, and only classes may be named. Wrap it in a class of yours.")
    if not getattr(value, "from_config", True):
        raise ImportRefused(class_path, "it is built from other sections of the config; see the classes beside it.")
    real = f"{value.__module__}.{value.__qualname__}"
    if real != class_path and not is_allowed(real):
        raise ImportRefused(class_path, f"it is another name of {real!r}, and {refusal(real)}")


def refusal(class_path: str) -> str:
    """Why a path is not allowed, and the way out.

    Args:
        class_path: the path.
    """
    if (reason := why_refused(class_path)) is not None:
        return f"it cannot work in a run of {OWN}: {reason}."
    parts = class_path.split(".")
    known = {package.split(".")[0] for package in EXTERNAL}
    wanted = ".".join(parts[:-1]) if parts[0] in known else parts[0]
    return (
        f"a config may name classes of {OWN}, and the optimisers, callbacks, loggers, profilers and strategies of "
        f"torch and Lightning that {__name__}.EXTERNAL lists. If you know and trust that code, allow its classes with "
        f"`--allow {wanted}` or {ENV}={wanted}."
    )


class Builder:
    """Builds the classes of a config; keeps the first error, which the parser wraps in a text nobody can read."""

    def __init__(self) -> None:
        self.failed: list[Exception] = []
        self.failed_class: type | None = None

    def __call__(self, cls: type, *args: Any, **kwargs: Any) -> Any:
        """Build one object.

        Args:
            cls: its class.
            args: positional arguments.
            kwargs: keyword arguments.
        """
        path = f"{cls.__module__}.{cls.__qualname__}"
        check_class(cls, path)
        if not is_allowed(path):
            raise ImportRefused(path, refusal(path))
        try:
            return cls(*args, **kwargs)
        except Exception as error:
            self.failed.append(error)
            self.failed_class = self.failed_class or cls
            raise


def takes_dict_kwargs(cls: type) -> bool:
    """Whether a class may get arguments that its signature does not show.

    Args:
        cls: the class.
    """
    return issubclass(cls, TAKES_DICT_KWARGS) or is_of_user(cls)


def is_of_user(cls: type) -> bool:
    """Whether a class is of a module that the user allows.

    Args:
        cls: the class.
    """
    return any(_within(f"{cls.__module__}.{cls.__qualname__}", module) for module in _user_modules)


def _module_or_class(path: str) -> Any:
    """A module, or the class around a class."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        module, _, name = path.rpartition(".")
        if not module or error.name != path:
            raise
        around = importlib.import_module(module)
        if not hasattr(around, name):
            raise
        return getattr(around, name)


def _within(path: str, module: str) -> bool:
    return f"{path}.".startswith(f"{module}.")
