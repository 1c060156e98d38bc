"""`python -m mtl compare` and `report`: a grid of runs, and the table that one can defend.

Fixed weights are searched like a learning rate, by the validation score of seed 0; every number of the table is of the
test set, which a run looks at once, with the checkpoint of its best validation score.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mtl.cli.compared_rows import refuse_wrong_rows
from mtl.cli.tables_to_wandb import add_wandb_flag, tables_to_wandb
from mtl.config.command_line import read_command_line
from mtl.config.merge import read_config
from mtl.config.yaml_lines import ConfigError
from mtl.evaluation.report import TUNED, read_report, read_results
from mtl.evaluation.report_files import markdown, write_report
from mtl.experiments.cells import begin_anew_with_other_settings, is_done, refuse_changed
from mtl.experiments.comparison import Cell, Comparison, read_comparison
from mtl.experiments.ray_launcher import RayLauncher, add_ray_flags
from mtl.experiments.run_queue import RunQueue, duration, positive, sigterm_is_ctrl_c
from mtl.experiments.settings_record import refuse_other_settings, require_same_settings
from mtl.runs.metrics_csv import read_series
from mtl.runs.resume import refuse_links

_OWN_KEYS = ("name", "experiment", "runs_root", "tracking.project", "tracking.group")  # of RunQueue.command
RECORD = "comparison.yaml"  # what all runs have in common, in the folder of the comparison


def compare(arguments: list[str]) -> None:
    """Train what is not there yet, then write the report.

    Args:
        arguments: what follows `compare`; flags that are not its own go to every `fit`.

    Raises:
        ConfigError: for a comparison file that is wrong.
    """
    options, flags = _parser().parse_known_args(arguments)
    path = Path(options.config)
    comparison = read_comparison(path)
    _refuse_own(flags, comparison)
    root = Path(options.runs_root or Path("runs/compare") / path.stem)
    console = Console(highlight=False)
    searched = comparison.searched(root)
    tries = [cell for own in searched.values() for cell in own]
    planned = [*tries, *comparison.cells(root)]
    # which weights the tuned row has is known after the search
    refuse_changed([cell for cell in planned if cell.folder.name != TUNED])
    record = _record(comparison, flags)
    if any(map(is_done, planned)):
        refuse_other_settings(root / RECORD, record, "comparison")
    refuse_wrong_rows(planned, comparison.config, comparison.seed_keys, flags)
    if options.dry_run:
        _plan(console, comparison, planned, options.jobs)
        return
    begin_anew_with_other_settings(planned, root / RECORD, record)
    require_same_settings(root / RECORD, record, "comparison")
    place = RayLauncher(options.ray, options.cpus_per_run, options.gpus_per_run) if options.ray else None
    queue = RunQueue(comparison.config, options.jobs, flags, console, comparison.seed_keys, place)
    with sigterm_is_ctrl_c():
        queue.train(tries, "fixed weights")
        tuned = {variant: best for variant, own in searched.items() if (best := _best(own)) is not None}
        for variant, best in tuned.items():
            weights = comparison.candidates()[best].get("model", {}).get("loss_weights", "all 1")
            console.print(f"tuned fixed weights{' of ' + variant if variant else ''}: {weights}")
        cells = comparison.cells(root, tuned)
        refuse_changed(cells)
        queue.train(cells, "comparison")
    if any(map(is_done, cells)):
        _write(console, root, options.wandb)
    if queue.failed:
        names = ", ".join(f"{cell.folder.name} {cell.name}" for cell in queue.failed)
        raise RuntimeError(
            f"{len(queue.failed)} runs failed: {names}. Their logs are beside them; run it again to retry."
        )


def report(arguments: list[str]) -> None:
    """Write the report of run folders again.

    Args:
        arguments: what follows `report`.
    """
    parser = argparse.ArgumentParser("mtl report", description="The table of a comparison, from its run folders.")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the comparison: runs/compare/<name>")
    add_wandb_flag(parser)
    options = parser.parse_args(arguments)
    _write(Console(highlight=False), options.runs, options.wandb)


def _write(console: Console, root: Path, wandb: str) -> None:
    """The report of a comparison; with variants one for each, and their tables under each other in `report.md`."""
    variants = sorted({path.parents[2] for path in root.glob("*/*/seed*/results.json")})
    sections = []
    for folder in [root, *variants]:
        refuse_links(folder)
    for folder in variants or [root]:
        found = read_report(folder)
        files = write_report(found, folder)
        sections.append(f"## {folder.name}\n\n{markdown(found)}" if variants else markdown(found))
        # not wrapped: it is pasted into a README
        console.print(sections[-1], markup=False, soft_wrap=True)
        console.print(f"\n{', '.join(file.name for file in files)} in {folder}\n", soft_wrap=True)
        tables_to_wandb(wandb, folder, folder.name, files)
    if variants:
        (root / "report.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _record(comparison: Comparison, flags: Sequence[str]) -> dict[str, Any]:
    """All that changes a result, but for what is laid over the config of a row."""
    line = read_command_line("fit", flags)
    shared: dict[str, list[str]] = {}  # a flag that appends may stand there twice
    for key, value in line.flags:
        if not key.startswith("tracking."):
            shared.setdefault(key, []).append(value)
    config = read_config([comparison.config, *line.configs]).values
    return {"config": config, "seed_keys": comparison.seed_keys, "flags": shared}


def _refuse_own(flags: Sequence[str], comparison: Comparison) -> None:
    """Refuse flags that the comparison sets itself, apart for every run."""
    line = read_command_line("fit", flags)
    if line.run or line.resume or line.ckpt_path:
        raise ConfigError("every run of a comparison starts anew: leave out --run, --resume and --ckpt_path.")
    for key, value in line.flags:
        if key in (*_OWN_KEYS, *comparison.seed_keys):
            raise ConfigError(
                f"--{key} {value}: a comparison sets this itself, apart for every run. How many seeds there are is "
                "`seeds` in its file; where the runs lie is --runs_root."
            )


def _best(tries: Sequence[Cell]) -> int | None:
    """The try with the best validation score; None without any that finished."""
    scores = {}
    for number, cell in enumerate(tries):
        if is_done(cell):
            scores[number] = max(read_series(cell.path / "metrics.csv")["val/score"][1])
    return max(scores, key=lambda number: scores[number]) if scores else None


def _plan(console: Console, comparison: Comparison, cells: Sequence[Cell], jobs: int) -> None:
    todo = [cell for cell in cells if not is_done(cell)]
    rows = len(dict.fromkeys(cell.folder for cell in cells))
    console.print(f"{comparison.config}: {rows} rows, {len(cells)} runs, {len(cells) - len(todo)} done", soft_wrap=True)
    for folder in dict.fromkeys(cell.folder for cell in cells):
        own = [cell for cell in cells if cell.folder == folder]
        console.print(f"  {folder.name}: {sum(map(is_done, own))} of {len(own)} done", soft_wrap=True)
    finished = [read_results(cell.path / "results.json") for cell in cells if is_done(cell)]
    if finished:
        seconds = statistics.fmean(result["meta"]["train_seconds"] for result in finished)
        console.print(f"about {duration(seconds * len(todo) / jobs)} with --jobs {jobs}, from the runs that are done")
    else:
        steps = read_config([comparison.config]).get(("trainer", "max_steps"))
        each = f" of {steps:,} steps" if isinstance(steps, int) and steps > 0 else ""
        console.print(f"{len(todo)} runs{each}; how long they take is known once one is done")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mtl compare", description="Train a grid of methods and seeds; more flags go to every fit.", allow_abbrev=False
    )
    parser.add_argument("--config", required=True, help="comparison file, for example configs/compare/digits.yaml")
    parser.add_argument("--runs_root", help="folder of the runs [runs/compare/<name of the file>]")
    parser.add_argument(
        "--jobs", type=positive, default=1, help="runs at once, as processes on this machine or Ray's [1]"
    )
    add_ray_flags(parser)
    add_wandb_flag(parser)
    parser.add_argument("--dry_run", action="store_true", help="show the plan and its cost, train nothing")
    return parser
