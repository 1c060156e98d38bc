"""`python -m mtl sweep`: search a W&B sweep file on this machine or a Ray cluster, without an account.

Every trial is a run folder as `fit` makes it. The same command continues a sweep that was stopped.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtl.cli.queue.queue_flags import add_queue_flags, launcher, positive, refuse_own_flags
from mtl.config.yaml_lines import read_yaml
from mtl.errors import printable
from mtl.experiments.queued_run import begin_anew_with_other_settings
from mtl.experiments.run_queue import RunQueue
from mtl.experiments.search import Trial, trials_of
from mtl.experiments.settings_record import require_same_settings, shared_settings
from mtl.experiments.sweep_file import read_sweep


def sweep(arguments: list[str]) -> None:
    """Train the trials that are not done yet, then show all of them.

    Args:
        arguments: what follows `sweep`; flags that are not its own go to every `fit`.

    Raises:
        ConfigError: for a sweep file that is wrong, or packages that are missing.
    """
    options, flags = _parser().parse_known_args(arguments)
    plan = read_sweep(Path(options.config))
    refuse_own_flags(flags, plan.parameters, "sweep")
    folder, console = Path(options.runs_root) / plan.experiment, Console(highlight=False)
    trials = trials_of(plan, folder, options.trials)
    if options.dry_run:
        ends = f", ended early after {plan.min_iter} validations if they fall behind" if plan.min_iter else ""
        start = (
            f"{len(trials)} trials by {plan.method} for the {'best' if plan.sign > 0 else 'least'} {plan.metric}{ends}"
        )
        console.print(f"{start}, in {folder}", markup=False, soft_wrap=True)
        for name, parameter in plan.parameters.items():
            console.print(printable(f"  {name}: {parameter}"), markup=False, soft_wrap=True)
        return
    file = {key: value for key, value in read_yaml(plan.path).items() if key != "run_cap"}
    record = {"sweep": file, **shared_settings([*plan.words, *flags])}
    begin_anew_with_other_settings(trials, folder / "sweep.yaml", record)
    require_same_settings(folder / "sweep.yaml", record, "sweep")
    queue = RunQueue(folder, options.jobs, flags, console, launcher(options))
    queue.train(trials, "sweep")
    _show(console, trials, flags)
    queue.raise_if_failed()


def _show(console: Console, trials: list[Trial], flags: Sequence[str]) -> None:
    """The trials, best first, and how to train the best one again."""
    plan = trials[0].plan
    swept = [name for name, parameter in plan.parameters.items() if parameter["distribution"] != "constant"]
    table = Table("trial", plan.metric, *swept, "state")
    trials = sorted(trials, key=lambda trial: trial.scores[-1:], reverse=True)
    for trial in trials:
        score = f"{plan.sign * trial.scores[-1]:.4f}" if trial.scores else ""
        table.add_row(trial.name, score, *(_short(trial.settings()[name]) for name in swept), trial.state)
    console.print(table)
    if trials[0].scores:
        console.print(f"the best again: python -m mtl fit {shlex.join(trials[0].words(flags))}", soft_wrap=True)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else escape(printable(str(value), 60))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mtl sweep",
        description="Search a W&B sweep file; more flags go to every fit.",
        epilog="example: python -m mtl sweep --config configs/sweeps/digits.yaml --trials 20",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="sweep file, for example configs/sweeps/digits.yaml")
    parser.add_argument("--trials", type=positive, help="runs to try [run_cap of the file; all of a grid]")
    parser.add_argument("--runs_root", default="runs", help="folder of all experiments [runs]")
    add_queue_flags(parser)
    return parser
