"""Which weights a subcommand starts from. Numbers from random weights look like results, so they are refused."""

from pathlib import Path

from torch import nn

from mtl.config.command_line import CommandLine
from mtl.config.merge import read_config
from mtl.config.paths import expanded
from mtl.config.yaml_lines import ConfigError
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint, read_checkpoint
from mtl.runs.checkpoint_fit import differences, is_of_other_version, written_by
from mtl.runs.resume import resume_point, saved_checkpoints


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
        return resume_point(line.resume, _checkpoints_of(line, line.resume))
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


def _checkpoints_of(line: CommandLine, run: Path) -> Path | None:
    """Where a resumed run keeps its checkpoints: as the user says, or else as the run does."""
    said = read_config(line.configs, line.flags).get(("checkpoint", "dirpath"))
    if isinstance(said, str):
        return Path(expanded(said))
    return None if line.configs else saved_checkpoints(run)


def check_fits(path: Path, model: nn.Module) -> int:
    """Compare a checkpoint with the model it is meant for, before anything runs.

    Args:
        path: the checkpoint.
        model: the model the config describes.

    Returns:
        The optimiser steps that it has made.

    Raises:
        ConfigError: naming what differs, and the version that wrote it if that is another one.
    """
    state = read_checkpoint(path)
    told = differences(state, model)
    if told and is_of_other_version(state):
        raise ConfigError(f"checkpoint {str(path)!r} ({written_by(state)}) does not fit this model: {told}.")
    if told:
        raise ConfigError(
            f"checkpoint {str(path)!r} was made by another model than this config describes: {told}. "
            "Use the config of its own run: --run RUN_FOLDER."
        )
    return int(state.get("global_step", -1))
