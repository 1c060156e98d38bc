"""Whether a checkpoint fits a model, and which version of this package wrote it."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from mtl import __version__
from mtl.errors import printable

VERSION = "mtl_version"  # its key in a checkpoint


def written_by(state: Mapping[str, Any]) -> str:
    """The version that wrote a checkpoint, and the one that reads it, for a message.

    Args:
        state: the content of the checkpoint.
    """
    writer = f"mtl {printable(str(state[VERSION]), 40)}" if VERSION in state else "an older mtl"
    return f"written by {writer}, read by mtl {__version__}"


def is_of_other_version(state: Mapping[str, Any]) -> bool:
    """Whether another version wrote a checkpoint.

    Args:
        state: the content of the checkpoint.
    """
    return state.get(VERSION) != __version__


def differences(state: Mapping[str, Any], model: nn.Module) -> str:
    """What is in the weights of a checkpoint and not in a model, or the other way round; empty if they fit.

    Args:
        state: the content of the checkpoint.
        model: the model.
    """
    found, wanted = state["state_dict"], model.state_dict()
    told = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    told += [f"{name} is not in the model" for name in found.keys() - wanted.keys()]
    told += [
        f"{name} is {list(found[name].shape)} there and {list(wanted[name].shape)} here"
        for name in wanted.keys() & found.keys()
        if found[name].shape != wanted[name].shape
    ]
    return "; ".join(sorted(told)[:3]) + (f"; {len(told) - 3} more" if len(told) > 3 else "")
