"""Flags of the commands that train many runs, and the flags that such a command sets itself for every run."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence

from mtl.config.command_line import read_command_line
from mtl.config.yaml_lines import ConfigError
from mtl.experiments.queued_run import PLACE_KEYS
from mtl.experiments.ray_launcher import RayLauncher


def add_queue_flags(parser: ArgumentParser) -> None:
    """Add the flags for where runs are trained, and how many at once.

    Args:
        parser: of the command.
    """
    parser.add_argument(
        "--jobs", type=positive, default=1, help="runs at once, as processes on this machine or Ray's [1]"
    )
    parser.add_argument("--ray", metavar="ADDRESS", help="Ray cluster: auto, local or host:port [this machine, no Ray]")
    parser.add_argument("--cpus_per_run", type=float, default=1, help="what Ray keeps for each run [1]")
    parser.add_argument("--gpus_per_run", type=float, default=0, help="what Ray keeps for each run [0]")
    parser.add_argument("--dry_run", action="store_true", help="show the plan, train nothing")


def launcher(options: Namespace) -> RayLauncher | None:
    """The launcher that starts the runs; None for processes on this machine.

    Args:
        options: the flags of `add_queue_flags`.
    """
    return RayLauncher(options.ray, options.cpus_per_run, options.gpus_per_run) if options.ray else None


def refuse_own_flags(flags: Sequence[str], keys: Iterable[str], what: str) -> None:
    """Refuse flags that a command sets itself, differently for every run.

    Args:
        flags: words that the user wants in every `fit`.
        keys: keys of the config that the command sets, beside the place of the run.
        what: the command is for, as `comparison`.

    Raises:
        ConfigError: naming the flag.
    """
    line = read_command_line("fit", flags)
    if line.run or line.resume or line.ckpt_path:
        raise ConfigError(f"every run of a {what} starts anew: leave out --run, --resume and --ckpt_path.")
    for key, value in line.flags:
        if key in (*PLACE_KEYS, *keys):
            raise ConfigError(
                f"--{key} {value}: a {what} sets this itself, differently for every run. Leave it out, or change the "
                f"file of the {what}; the folder of the runs is --runs_root."
            )


def positive(text: str) -> int:
    """A number of runs from the command line.

    Args:
        text: as typed.

    Raises:
        ArgumentTypeError: for what is no whole number of at least 1.
    """
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number of runs; give a whole number of at least 1")
    return int(text)
