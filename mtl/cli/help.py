"""Help that fits on a screen: what the program does, the main settings of a subcommand, and where to find the rest."""

import argparse
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtl.config.command_line import OPTIONS

_OVERVIEW = """\
mtl: one shared network, many tasks.

  python -m mtl new FOLDER --to configs/mine.yaml     a config for your pictures
  python -m mtl check --config configs/digits.yaml    what is in the data
  python -m mtl show --config configs/digits.yaml     what the network will see
  python -m mtl fit --config configs/digits.yaml      train, then test the best
  python -m mtl validate --run runs/digits/NAME       numbers of validation data
  python -m mtl test --run runs/digits/NAME           numbers of test data
  python -m mtl predict --run RUN --images FOLDER     boxes and classes of files
  python -m mtl export --run RUN                      an ONNX file, and a check
  python -m mtl compare --config configs/compare/digits.yaml   methods x seeds
  python -m mtl report --runs runs/compare/digits     its table and pictures
  python -m mtl runs                                  your runs, the best first
  python -m mtl plot RUN RUN --metric val/score       their curves
  python -m mtl sweep --config configs/sweeps/digits.yaml --trials 20   by Ray
  python -m mtl affinity --run RUN                    are the tasks related?
  python -m mtl explain --run RUN                     what they share, and where
  python -m mtl group --affinity CSV --config FILE    which share a network
  python -m mtl list                                  heads, data, configs, ...
  python -m mtl data bccd --to data/bccd              fetch a public data set
  python -m mtl schema --to .mtl-schema.json          completion in editors
  python -m mtl paper NAME                            a package for your paper

Every key of a config is also a flag; a later config overrides an earlier one:

  python -m mtl fit --config configs/digits.yaml --config mine.yaml \\
      --model.heads.largest.dropout 0.2 --trainer.max_steps 300 --name dropout

A run lies in runs/<experiment>/<name>/: config, command, numbers, pictures and
checkpoints. `fit --help` shows the main settings, `fit --help-all` every one,
`list heads CenterNetHead` the settings of one class.
"""

# main settings; a text where the signature's own is too long for one screen
_MAIN = {
    "data": "data set: a class and its `init_args`, see `list data`",
    "model.backbone": "shared trunk: a class and its `init_args`, see `list backbones`",
    "model.heads": "a head for each task to learn, see `list heads`",
    "model.loss_weights": None,
    "model.optim": None,
    "trainer.max_steps": "optimiser steps; -1 for no limit",
    "trainer.max_epochs": "passes over the training data",
    "trainer.accelerator": "cpu, gpu, mps, ...",
    "trainer.devices": "how many devices, or a list of them",
    "trainer.strategy": "ddp, fsdp, ... on several devices",
    "trainer.precision": "32-true, bf16-mixed, 16-mixed, ...",
    "trainer.accumulate_grad_batches": "batches for one optimiser step",
    "trainer.gradient_clip_val": "largest norm of the gradient",
    "trainer.callbacks": "more callbacks; `callbacks+:` appends, see `list callbacks`",
    "experiment": None,
    "name": None,
    "runs_root": None,
    "test_after_fit": None,
    "seed_everything": "seed of everything random; true draws one",
    "checkpoint.monitor": None,
    "tracking.wandb": "Weights & Biases: auto, online, offline or off",
}


def show_overview() -> None:
    """What `python -m mtl` alone shows."""
    _console().print(Text(_OVERVIEW), soft_wrap=True)


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
    console.print(Text(f"python -m mtl {command} --config FILE [--key value ...]"))
    words = "--config configs/digits.yaml --trainer.max_steps 300 --name short"
    words = words if command == "fit" else "--run runs/digits/short"
    console.print(Text(f"example: python -m mtl {command} {words}\n"), soft_wrap=True)
    console.print(_table(OPTIONS.items()))
    console.print(Text("\nMain settings; each is a key of the config and a flag:\n"))
    actions = {action.dest: action for action in parser._actions}
    rows = []
    for name, text in _MAIN.items():
        action = actions.get(name)
        if action is not None:
            known = action.default not in (None, argparse.SUPPRESS) and not isinstance(action.default, dict)
            default = f" [{action.default}]" if known else ""
            rows.append((f"--{name}", f"{text or (action.help or '').strip().rstrip('.')}{default}"))
    console.print(_table(rows))
    console.print(Text(f"\nAll {len(actions)} settings: python -m mtl {command} --help-all."))


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(Text(f"  {name}"), Text(text))
    return table


def _console() -> Console:
    return Console(highlight=False)
