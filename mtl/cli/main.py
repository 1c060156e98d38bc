"""Entry point of the command line: choose the subcommand, run it, say in a few lines what went wrong."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console
from rich.text import Text

from mtl import __version__
from mtl.cli.help import show_overview
from mtl.cli.loader_errors import loader_error
from mtl.cli.rank_errors import rank_error
from mtl.config.command_line import COMMANDS, TRAINER_COMMANDS, read_command_line
from mtl.config.papers import import_papers, is_of_a_paper
from mtl.config.yaml_lines import ConfigError
from mtl.errors import did_you_mean
from mtl.runs.run_folder import rank

WITHOUT_PAPERS = ("paper", "report")  # they build no class


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        arguments: what follows the program's name; `sys.argv` by default.

    Returns:
        0, 1 when the run failed, 2 when the command line or the config is wrong, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except ConfigError as error:
        if _wants_traceback(words):
            raise
        _say(error.message, str(error.origin) if error.origin else "")
        return error.exit_code
    except (MisconfigurationException, ValueError, ImportError, OSError, RuntimeError) as error:
        if _wants_traceback(words) or not _is_users(error):
            raise
        _say(str(error) or type(error).__name__, "the whole traceback: add --traceback")
        return 1
    except KeyboardInterrupt:
        if _wants_traceback(words):
            raise
        return 130


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show_overview()
        return 0
    command, rest = words[0], words[1:]
    if command in ("--version", "version"):
        Console().print(f"mtl {__version__}", highlight=False)
        return 0
    if command not in COMMANDS:
        raise ConfigError(
            f"there is no subcommand {command!r}.{did_you_mean(command, COMMANDS)} There are {', '.join(COMMANDS)}."
        )
    run = _command(command)
    if command not in WITHOUT_PAPERS:
        import_papers()
    run(rest)
    return 0


def _command(name: str) -> Callable[[list[str]], None]:
    # imported late: `list` and `--help` need neither Lightning's CLI nor a model
    if name == "list":
        from mtl.cli.listing import show_list

        return show_list
    if name == "predict":
        from mtl.cli.predict import predict

        return predict
    if name == "compare":
        from mtl.cli.compare import compare

        return compare
    if name == "report":
        from mtl.cli.report import report

        return report
    if name == "sweep":
        from mtl.cli.sweep import sweep

        return sweep
    if name in ("affinity", "group"):
        from mtl.cli import affinity

        return affinity.affinity if name == "affinity" else affinity.group
    if name == "data":
        from mtl.cli.data import data

        return data
    if name == "paper":
        from mtl.cli.paper import paper

        return paper
    assert name in TRAINER_COMMANDS
    return lambda rest: _train_or_test(name, rest)


def _train_or_test(command: str, rest: list[str]) -> None:
    line = read_command_line(command, rest)
    from mtl.cli.app import Run

    _be_quiet()
    Run(line, [command, *rest]).start()


def _wants_traceback(words: list[str]) -> bool:
    return "--traceback" in words or os.environ.get("MTL_TRACEBACK", "0") not in ("", "0")


def _is_users(error: Exception) -> bool:
    """Whether a message is enough: the error was raised on purpose, for something that a user can mend."""
    if isinstance(error, MisconfigurationException | FileNotFoundError | NotADirectoryError | PermissionError):
        return True
    if loader_error(str(error)) or rank_error(str(error)):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    file = Path(frames[-1].filename) if frames else Path()
    ours = file.is_relative_to(Path(__file__).resolve().parents[1])
    theirs = file.is_relative_to(Path.cwd()) and "site-packages" not in file.parts  # such as paper/heads.py
    frame = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1:]
    return ours or theirs or any(is_of_a_paper(each.f_globals.get("__name__", "")) for each in frame)


def _be_quiet() -> None:
    """Lightning's tips and hardware lines go; our own notes come."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    notes = logging.getLogger("mtl")
    if not notes.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        notes.addHandler(handler)
    notes.setLevel(logging.INFO if rank() == 0 else logging.WARNING)
    # our data modules leave that hook to the module
    warnings.filterwarnings("ignore", message=r"You have overridden .on_before_batch_transfer. in .LightningModule.")
    # a deprecation inside Lightning, and advice to add up what our metrics have added up over the ranks already
    warnings.filterwarnings("ignore", message=r"It is recommended to use .self\.log\(.*sync_dist=True")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")


def _say(message: str, where: str) -> None:
    console = Console(stderr=True, highlight=False)
    message = loader_error(message) or rank_error(message) or message
    console.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    if where:
        console.print(Text(f"  {where}", style="dim"), soft_wrap=True)
