"""Entry point of the command line: choose the subcommand, run it, and report errors in a few lines."""

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from mtl import __version__
from mtl.cli.help import show_overview
from mtl.cli.trainer.loader_errors import loader_error
from mtl.cli.trainer.rank_errors import rank_error
from mtl.config.command_line import COMMANDS, TRAINER_COMMANDS, read_command_line
from mtl.config.foreign_files import UnsafeFile
from mtl.config.papers import import_papers
from mtl.config.yaml_lines import ConfigError
from mtl.errors import MOST_LETTERS, did_you_mean, printable
from mtl.runs.run_folder import rank

_MOST_LINES = 4  # of a message
# module and function of a command, where they are not called like it
PLACES = {"list": ("listing", "show_list"), "group": ("affinity", "group")}
LATEST = "latest"  # after --run: the newest one of the folder `runs`
WITHOUT_PAPERS = ("completion", "paper", "plot", "report", "runs")  # they build no class


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: what follows the program's name; `sys.argv` by default.

    Returns:
        0, 1 when the run failed, 2 when the command line or the config is wrong, 130 after Ctrl-C, 141 where nobody
        reads the output.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _reader_left(words)
    except KeyboardInterrupt:
        if _wants_traceback(words):
            raise
        return 130
    except Exception as error:  # the one place that makes a few lines of every error, foreseen or not
        if _wants_traceback(words):
            raise
        known = isinstance(error, ValueError | ImportError | OSError | RuntimeError) or _is_lightnings(error)
        message = str(error) if known and str(error) else f"{type(error).__name__}: {error}"
        if isinstance(error, ConfigError | UnsafeFile):
            _say(message, str(getattr(error, "origin", None) or ""))
            return error.exit_code
        if isinstance(error, FileNotFoundError) and error.errno is None:  # one of ours, complete in itself
            _say(message)
            return 2
        _say(message, "the whole traceback: add --traceback")
        return 1


def _reader_left(words: list[str]) -> int:
    """End quietly where whoever read the output has enough, as `| head` does; the code is SIGPIPE's in shells.

    What Rich prints ends in the same way by Rich itself, with code 1.
    """
    if words and words[0] in TRAINER_COMMANDS:
        _say("nobody reads the output any more (broken pipe). Send it to a file, or leave it on the terminal.")
    with contextlib.suppress(OSError, ValueError):  # Python would complain at its exit
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return 141


def _is_lightnings(error: Exception) -> bool:
    """Whether it is a MisconfigurationException; by name, since importing its class imports all of Lightning."""
    return any(cls.__name__ == "MisconfigurationException" for cls in type(error).__mro__)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show_overview()
        return 0
    command, rest = words[0], [word for word in words[1:] if word != "--traceback"]
    if command in ("--version", "version"):
        Console().print(f"mtl {__version__}", highlight=False)
        return 0
    if command not in COMMANDS:
        raise ConfigError(
            f"there is no subcommand {command!r}.{did_you_mean(command, COMMANDS)} There are {', '.join(COMMANDS)}."
        )
    rest = _with_latest(rest)
    run = _command(command)
    if command != "list":
        import matplotlib

        matplotlib.rcdefaults()  # whatever a matplotlibrc of the current folder says, LaTeX as a program among it
    if command not in WITHOUT_PAPERS:
        import_papers()
    run(rest)
    return 0


def _with_latest(words: list[str]) -> list[str]:
    """The words with the folder of the newest run in place of `latest`, after the flags that name a run."""
    flags = ("--run", "--resume")
    after = [i for i, word in enumerate(words) if word == LATEST and i and words[i - 1] in flags]
    inside = [i for i, word in enumerate(words) if word in [f"{flag}={LATEST}" for flag in flags]]
    if not (after or inside) or Path(LATEST).exists():
        return words
    from mtl.experiments.run_list import latest_run

    latest = str(latest_run(Path("runs")))
    Console(stderr=True, highlight=False).print(Text(f"latest run: {printable(latest)}"), soft_wrap=True)
    whole = {**dict.fromkeys(after, latest), **{i: words[i].replace(LATEST, latest) for i in inside}}
    return [whole.get(i, word) for i, word in enumerate(words)]


def _command(name: str) -> Callable[[list[str]], None]:
    if name in TRAINER_COMMANDS:
        return lambda rest: _train_or_test(name, rest)
    # imported late: `list` and `--help` need no model
    module, function = PLACES.get(name, (name, name))
    command: Callable[[list[str]], None] = getattr(importlib.import_module(f"mtl.cli.{module}"), function)
    return command


def _train_or_test(command: str, rest: list[str]) -> None:
    line = read_command_line(command, rest)
    from mtl.cli.trainer.app import Run

    be_quiet()
    Run(line, [command, *rest]).start()


def _wants_traceback(words: list[str]) -> bool:
    return "--traceback" in words or os.environ.get("MTL_TRACEBACK", "0") not in ("", "0")


def be_quiet() -> None:
    """Hide Lightning's tips and hardware lines, and show our own notes."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # somebody has asked for a profile
    notes = logging.getLogger("mtl")
    if not notes.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        notes.addHandler(handler)
    notes.setLevel(logging.INFO if rank() == 0 else logging.WARNING)
    # our data modules leave that hook to the module
    warnings.filterwarnings("ignore", message=r"You have overridden .on_before_batch_transfer. in .LightningModule.")
    # advice about settings that are as they should be
    warnings.filterwarnings("ignore", message=r"The number of training batches .* is smaller than the logging interval")
    warnings.filterwarnings("ignore", message=r"You are trying to .self\.log\(\). but .Trainer\(barebones=True\). is")
    # the same is reported as an error
    warnings.filterwarnings("ignore", message=r"Initializing zero-element tensors is a no-op")
    # a deprecation inside Lightning, and advice to add up what our metrics have added up over the ranks already
    warnings.filterwarnings("ignore", message=r"It is recommended to use .self\.log\(.*sync_dist=True")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")


def _say(message: str, where: str = "") -> None:
    """A message of a few lines, and the place it is about; names and texts in it may be anybody's."""
    console = Console(stderr=True, highlight=False)
    message = loader_error(message) or rank_error(message) or message
    lines = [part for line in message.splitlines() for part in wrap(printable(line, 1000), MOST_LETTERS)]
    if len(lines) > _MOST_LINES:  # the last one says what to do
        lines = [*lines[: _MOST_LINES - 1], lines[-1]]
    console.print(Text.assemble(("error: ", "bold red"), "\n".join(lines)), soft_wrap=True)
    if where:
        console.print(Text(f"  {printable(where)}", style="dim"), soft_wrap=True)
