"""Which weights a subcommand starts from. Numbers from random weights look like results, so they are refused."""

from pathlib import Path
from typing import Any

from torch import nn

from mtl.config.command_line import CommandLine
from mtl.config.yaml_lines import ConfigError
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint, read_checkpoint
from mtl.runs.resume import resume_point


def choose_checkpoint(line: CommandLine) -> Path | None:
    """The checkpoint that a command line asks for; None to start from scratch.

    Args:
        line: the command line.

    Raises:
        ConfigError: if a trained model is needed and none is named.
        FileNotFoundError: if the one that is named does not exist.
    """
    training = line.command == "fit"
    if line.resume is not None:
        return resume_point(line.resume)
    if line.run is not None and (line.ckpt_path is None or line.ckpt_path in ("best", "last")):
        return find_checkpoint(line.run, line.ckpt_path or ("last" if training else "best"))
    if line.ckpt_path in ("best", "last"):
        raise ConfigError(f"--ckpt_path {line.ckpt_path} needs --run RUN_FOLDER to say of which run.")
    if line.ckpt_path is not None:
        return checkpoint_file(line.ckpt_path)
    if training or "--untrained" in line.switches:
        return None
    raise ConfigError(
        f"`{line.command}` needs a trained model. Give --run runs/<experiment>/<name> (best checkpoint and config), "
        "or --ckpt_path FILE with --config. To go ahead with random weights: --untrained."
    )


def check_fits(path: Path, model: nn.Module) -> None:
    """Compare a checkpoint with the model it is meant for, before anything runs.

    Args:
        path: the checkpoint.
        model: the model the config describes.

    Raises:
        ValueError: naming what differs.
    """
    found: dict[str, Any] = read_checkpoint(path)["state_dict"]
    wanted = model.state_dict()
    differences = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    differences += [f"{name} is not in the model" for name in found.keys() - wanted.keys()]
    differences += [
        f"{name} is {list(found[name].shape)} there and {list(wanted[name].shape)} here"
        for name in wanted.keys() & found.keys()
        if found[name].shape != wanted[name].shape
    ]
    if differences:
        shown = "; ".join(sorted(differences)[:3]) + (f"; {len(differences) - 3} more" if len(differences) > 3 else "")
        raise ValueError(
            f"checkpoint {str(path)!r} was made by another model than this config describes: {shown}. "
            "Use the config of its own run: --run RUN_FOLDER."
        )
