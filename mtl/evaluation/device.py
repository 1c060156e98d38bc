"""The device that a command line names, checked before anything is loaded."""

import re

import torch

from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean

_KINDS = ("cpu", "cuda", "mps")
_NAME = re.compile(r"(cuda):(\d{1,3})|" + "|".join(_KINDS))


def chosen_device(name: str | None) -> torch.device:
    """The device to predict on.

    Args:
        name: `cpu`, `cuda`, `cuda:1` or `mps`; None takes cuda where it is, or else cpu.

    Raises:
        ConfigError: for another name, and for a device that this machine or this torch does not have.
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name is None:
        return torch.device("cuda" if has["cuda"] else "cpu")
    found = _NAME.fullmatch(name)
    if found is None:
        hint = did_you_mean(name.partition(":")[0], _KINDS)
        raise ConfigError(f"--device {name!r:.100} is no device.{hint} There are cpu, cuda, cuda:NUMBER and mps.")
    kind, number = found[1] or found[0], int(found[2] or 0)
    here = ", ".join(kind for kind, there in has.items() if there)
    if not has[kind]:
        raise ConfigError(f"--device {name}: torch finds no such device here. It finds {here}; take one of them.")
    if kind == "cuda" and number >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"--device {name}: there are {count} GPUs, from cuda:0 to cuda:{count - 1}.")
    return torch.device(name)
