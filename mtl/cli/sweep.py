"""`python -m mtl sweep`: W&B's sweep file searched by Ray Tune, on this machine or a cluster, without an account.

Every trial is a run folder as `fit` makes it. A sweep that was stopped goes on: its trials are resumed like any run.
Sources: Liaw et al., "Tune: A Research Platform for Distributed Model Selection and Training", 2018; early stopping by
ASHA, Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
"""

import argparse
import logging
import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mtl.config.foreign_files import read_end
from mtl.config.search_path import of_children
from mtl.config.yaml_lines import ConfigError, read_yaml
from mtl.errors import printable
from mtl.experiments.ray_launcher import add_ray_flags, connect
from mtl.experiments.run_queue import positive, sigterm_is_ctrl_c
from mtl.experiments.settings_record import require_same_settings
from mtl.experiments.sweep_file import Sweep, as_flag, read_sweep
from mtl.runs.metrics_csv import read_series

_STATE = ".tune"  # Ray Tune's own folder among the trials
_RECORD = "sweep.yaml"


def sweep(arguments: list[str]) -> None:
    """Search, or go on with it, and show the trials.

    Args:
        arguments: what follows `sweep`; flags that are not its own go to every `fit`.

    Raises:
        ConfigError: for a sweep file that is wrong, or packages that are missing.
    """
    options, flags = _parser().parse_known_args(arguments)
    plan = read_sweep(Path(options.config))
    num_trials = options.trials or plan.num_trials
    if num_trials is None and plan.method != "grid":
        raise ConfigError(f"{plan.path}: how many trials? Give --trials 20, or `run_cap` in the file.")
    folder = (Path(options.runs_root) / plan.experiment).absolute()
    if options.dry_run:
        _plan(plan, num_trials, folder)
        return
    record = {"sweep": read_yaml(plan.path), "trials": num_trials, "flags": flags}
    require_same_settings(folder / _RECORD, record, "sweep")
    connect(options.ray)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # tracebacks of trials; their errors are shown at the end
    try:
        from ray import tune
    except ImportError as error:
        raise ConfigError('sweep needs Ray Tune: pip install "mtl[ray]"') from error
    words = [*plan.words, *flags, "--runs_root", str(folder.parent), "--experiment", folder.name]
    trial = partial(
        run_trial, words=words, folder=folder, metric=plan.metric, cwd=Path.cwd(), cpus=options.cpus_per_run
    )
    placed = tune.with_resources(trial, {"cpu": options.cpus_per_run, "gpu": options.gpus_per_run})
    state = str(folder / _STATE)
    if tune.Tuner.can_restore(state):
        tuner = tune.Tuner.restore(state, placed, resume_errored=True)
    else:
        tuner = tune.Tuner(
            placed,
            param_space=plan.space(tune),
            tune_config=_tune_config(plan, tune, num_trials, options.jobs),
            run_config=tune.RunConfig(name=_STATE, storage_path=str(folder), verbose=1),
        )
    with sigterm_is_ctrl_c():  # after which Ray Tune keeps what it knows; Ray itself prints a wall of addresses
        found = tuner.fit()
    if failed := _show(plan, flags, folder, found):
        raise RuntimeError(f"{failed} trials failed; their logs are in {folder}. Run it again to retry them.")


def run_trial(
    values: Mapping[str, Any], words: Sequence[str], folder: Path, metric: str, cwd: Path, cpus: float
) -> None:
    """One trial, in a process of Ray: `fit` as a process of its own, whose numbers are reported as they come.

    Args:
        values: what Ray Tune has chosen, by key of the config.
        words: all other words of `fit`.
        folder: of the sweep.
        metric: column of `metrics.csv` to report.
        cwd: where `fit` runs.
        cpus: threads that it may use.

    Raises:
        RuntimeError: if it fails.
    """
    from ray import tune

    run = folder / Path(tune.get_context().get_trial_dir()).name
    rest = [*words, *(as_flag(name, value) for name, value in values.items()), "--name", run.name]
    if (run / "config.yaml").is_file():
        rest += ["--resume", str(run)]
    env = {**os.environ, "OMP_NUM_THREADS": str(max(1, int(cpus))), **of_children()}
    log = folder / f"{run.name}.log"
    with log.open("ab") as out:
        command = [sys.executable, "-m", "mtl", "fit", *rest]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env=env)
    reported, running = 0, True
    try:
        while running:
            running = process.poll() is None
            for value in _values(run, metric)[reported:]:
                reported += 1
                tune.report({metric: value})  # does not return where the scheduler ends the trial
            time.sleep(0.2)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {_error(log)}")


def _name(trial: Any) -> str:
    """Of a trial's run folder; Ray Tune's own identity of it may be anything, its tag begins with the number."""
    return f"trial{str(trial.experiment_tag).partition('_')[0]}"


def _values(run: Path, metric: str) -> list[float]:
    file = run / "metrics.csv"
    return read_series(file).get(metric, ([], []))[1] if file.is_file() else []


def _tune_config(plan: Sweep, tune: Any, num_trials: int | None, jobs: int | None) -> Any:
    scheduler = None
    if plan.min_iter:
        from ray.tune.schedulers import ASHAScheduler

        scheduler = ASHAScheduler(max_t=1_000_000, grace_period=plan.min_iter, reduction_factor=plan.eta)
    return tune.TuneConfig(
        metric=plan.metric,
        mode=plan.mode,
        scheduler=scheduler,
        search_alg=_search(plan),
        num_samples=num_trials or 1,  # of a grid, how often it is run
        max_concurrent_trials=jobs,
        trial_dirname_creator=_name,
    )


def _search(plan: Sweep) -> Any:
    if plan.method == "bayes":
        try:
            import optuna
            from ray.tune.search.optuna import OptunaSearch
        except ImportError as error:
            raise ConfigError('method bayes needs optuna: pip install "mtl[ray]", or take method random') from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return OptunaSearch(seed=0)
    from ray.tune.search.basic_variant import BasicVariantGenerator

    return BasicVariantGenerator(random_state=0)


def _plan(plan: Sweep, num_trials: int | None, folder: Path) -> None:
    console = Console(highlight=False)
    grid = math.prod(len(parameter.get("values", [0])) for parameter in plan.parameters.values())
    number = grid * (num_trials or 1) if plan.method == "grid" else num_trials
    ends = f", ended early after {plan.min_iter} validations if they fall behind" if plan.min_iter else ""
    console.print(
        f"{number} trials by {plan.method} for {plan.mode} {plan.metric}{ends}, in {folder}",
        markup=False,
        soft_wrap=True,
    )
    for name, parameter in plan.parameters.items():
        console.print(printable(f"  {name}: {parameter}"), markup=False, soft_wrap=True)


def _show(plan: Sweep, flags: Sequence[str], folder: Path, found: Any) -> int:
    """The trials, best first, and how to train the best one again; returns how many failed."""
    console = Console(highlight=False)
    swept = [name for name, parameter in plan.parameters.items() if parameter["distribution"] != "constant"]
    states = set()
    table = Table("trial", plan.metric, *swept, "state")
    judged = [trial for trial in found if plan.metric in (trial.metrics or {})]
    judged.sort(key=lambda trial: trial.metrics[plan.metric], reverse=plan.mode == "max")
    for trial in [*judged, *(trial for trial in found if trial not in judged)]:
        name = Path(trial.path).name
        finished = (folder / name / "results.json").is_file()
        state = "failed" if trial.error else "done" if finished else "stopped"
        states.add(state)
        value = f"{trial.metrics[plan.metric]:.4f}" if trial in judged else ""
        table.add_row(name, value, *(_short((trial.config or {}).get(key, "")) for key in swept), state)
    console.print(table)
    if "stopped" in states:
        console.print("stopped: it fell behind, or a signal came; after a signal the same command goes on")
    for trial in found:
        if trial.error:
            console.print(f"{Path(trial.path).name}: {_error(folder / f'{Path(trial.path).name}.log')}", soft_wrap=True)
    if judged:
        words = [*plan.words, *flags, *(as_flag(name, judged[0].config[name]) for name in plan.parameters)]
        console.print(f"the best again: python -m mtl fit {shlex.join(words)}", soft_wrap=True)
    return sum(trial.error is not None for trial in found)


def _error(log: Path) -> str:
    """What a run said last of an error, or at all."""
    lines = read_end(log, 10_000).strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "no output")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mtl sweep", description="Search a W&B sweep file by Ray Tune; more flags go to every fit.", allow_abbrev=False
    )
    parser.add_argument("--config", required=True, help="sweep file, for example configs/sweeps/digits.yaml")
    parser.add_argument("--trials", type=positive, help="runs to try [run_cap of the file]")
    parser.add_argument("--jobs", type=positive, help="runs at once [as many as there is room for]")
    parser.add_argument("--runs_root", default="runs", help="folder of all experiments [runs]")
    add_ray_flags(parser, default="local")
    parser.add_argument("--dry_run", action="store_true", help="show the plan, train nothing")
    return parser
