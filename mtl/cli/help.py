"""Help that fits on a screen: what the program does, the main settings of a subcommand, and where to find the rest."""

import argparse

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtl.cli.command_line import OPTIONS

_OVERVIEW = """\
mtl: one shared network, many tasks.

  python -m mtl fit --config configs/digits.yaml              train, then test the best checkpoint
  python -m mtl fit --config configs/digits.yaml --model.heads.largest.dropout 0.2 --name dropout
  python -m mtl validate --run runs/digits/NAME               numbers on the validation images
  python -m mtl test --run runs/digits/NAME                   numbers on the test images
  python -m mtl predict --run runs/digits/NAME --images DIR   pictures -> COCO JSON, CSV, annotated PNGs
  python -m mtl list                                          heads, backbones, data sets, methods, configs

A run lies in runs/<experiment>/<name>/: its config, command, numbers, pictures and checkpoints.
`python -m mtl fit --help` shows the main settings, `--help-all` every one, and
`python -m mtl list heads CenterNetHead` those of one class.
Every key of a config is also a flag: --trainer.max_steps 100.
"""

_MAIN = (
    "experiment", "name", "runs_root", "test_after_fit", "seed_everything", "data", "model.backbone", "model.heads",
    "model.loss_weights", "model.optim", "trainer.max_steps", "trainer.max_epochs", "trainer.accelerator",
    "trainer.devices", "trainer.strategy", "trainer.precision", "trainer.accumulate_grad_batches",
    "trainer.gradient_clip_val", "trainer.callbacks", "checkpoint.monitor", "tracking.wandb",
)  # fmt: skip


def show_overview() -> None:
    """What `python -m mtl` alone shows."""
    _console().print(Text(_OVERVIEW))


def show_settings(parser: argparse.ArgumentParser, command: str, everything: bool) -> None:
    """The settings of a subcommand.

    Args:
        parser: the parser that holds them.
        command: the subcommand.
        everything: all of them, as the parser writes them, instead of the main ones.
    """
    if everything:
        _console().print(Text(parser.format_help()), soft_wrap=True)
        return
    console = _console()
    console.print(Text(f"python -m mtl {command} --config FILE [--key value ...]\n"))
    console.print(_table(OPTIONS.items()))
    console.print(Text("\nMain settings; each is a key of the config and a flag:\n"))
    actions = {action.dest: action for action in parser._actions}
    rows = []
    for name in _MAIN:
        action = actions.get(name)
        if action is not None:
            default = (
                ""
                if action.default in (None, argparse.SUPPRESS) or isinstance(action.default, dict)
                else f" [{action.default}]"
            )
            rows.append((f"--{name}", f"{(action.help or '').strip().rstrip('.')}{default}"))
    console.print(_table(rows))
    console.print(
        Text(f"\nAll {len(actions)} settings: python -m mtl {command} --help-all. Classes: python -m mtl list.")
    )


def _table(rows: object) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    assert hasattr(rows, "__iter__")
    for name, text in rows:
        table.add_row(Text(f"  {name}"), Text(text))
    return table


def _console() -> Console:
    return Console(highlight=False)
