"""`python -m mtl compare`: train a grid of methods and seeds, and write its report.

Fixed weights are searched like a learning rate, by the validation metrics of seed 0; every number of the table is of
the test set, which a run looks at once, with the checkpoint of its best validation score.
"""

import argparse
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mtl.cli.queue.compared_rows import refuse_wrong_rows
from mtl.cli.queue.queue_flags import add_queue_flags, launcher, refuse_own_flags
from mtl.cli.queue.tables_to_wandb import add_wandb_flag
from mtl.cli.report import write_comparison
from mtl.config.foreign_files import own_folder
from mtl.evaluation.tables.report import TUNED, read_results
from mtl.experiments.comparison import Cell, read_comparison
from mtl.experiments.queued_run import begin_anew_with_other_settings, refuse_changed
from mtl.experiments.run_queue import RunQueue, duration
from mtl.experiments.settings_record import refuse_other_settings, require_same_settings, shared_settings
from mtl.experiments.tuned_weights import best_try

RECORD = "comparison.yaml"  # what all runs have in common, in the folder of the comparison


def compare(arguments: list[str]) -> None:
    """Train the runs that have no results yet, then write the report.

    Args:
        arguments: what follows `compare`; flags that are not its own go to every `fit`.

    Raises:
        ConfigError: for a comparison file that is wrong.
    """
    options, flags = _parser().parse_known_args(arguments)
    path = Path(options.config)
    comparison = read_comparison(path)
    refuse_own_flags(flags, ["tracking.project", "tracking.group", *comparison.seed_keys], "comparison")
    root = Path(options.runs_root or Path("runs/compare") / path.stem)
    console = Console(highlight=False)
    searched = comparison.searched(root)
    tries = [cell for own in searched.values() for cell in own]
    planned = [*tries, *comparison.cells(root)]
    own_folder(root)
    # which weights the tuned row has is known after the search
    refuse_changed([cell for cell in planned if cell.folder.name != TUNED])
    shared = shared_settings(["--config", str(comparison.config), *flags])
    record = {**shared, "seed_keys": comparison.seed_keys}
    if any(cell.is_done for cell in planned):
        refuse_other_settings(root / RECORD, record, "comparison")
    refuse_wrong_rows(planned, flags)
    if options.dry_run:
        _plan(console, comparison.config, planned, root, options.jobs, shared)
        return
    begin_anew_with_other_settings(planned, root / RECORD, record)
    require_same_settings(root / RECORD, record, "comparison")
    queue = RunQueue(root, options.jobs, flags, console, launcher(options))
    queue.train(tries, "fixed weights")
    tuned = {variant: best for variant, own in searched.items() if (best := best_try(own)) is not None}
    for variant, best in tuned.items():
        weights = comparison.candidates()[best].get("model", {}).get("loss_weights", "all 1")
        console.print(f"tuned fixed weights{' of ' + variant if variant else ''}: {weights}")
    cells = comparison.cells(root, tuned)
    refuse_changed(cells)
    for wave in sorted({cell.wave for cell in cells}):  # teachers before those they teach
        queue.train([cell for cell in cells if cell.wave == wave], "taught rows" if wave else "comparison")
    if any(cell.is_done for cell in cells):
        write_comparison(console, root, options.wandb)
    queue.raise_if_failed()


def _plan(
    console: Console, config: Path, cells: Sequence[Cell], root: Path, jobs: int, shared: Mapping[str, Any]
) -> None:
    todo = [cell for cell in cells if not cell.is_done]
    rows, left = Counter(cell.folder for cell in cells), Counter(cell.folder for cell in todo)
    runs = f"{len(rows)} rows, {len(cells)} runs, {len(cells) - len(todo)} done"
    console.print(f"{config}: {runs}", markup=False, soft_wrap=True)
    for folder, number in rows.items():
        name = folder.relative_to(root).as_posix()  # with its variant, if there are variants
        console.print(f"  {name}: {number - left[folder]} of {number} done", markup=False, soft_wrap=True)
    finished = [read_results(cell.path / "results.json") for cell in cells if cell.is_done]
    if finished:
        seconds = statistics.fmean(result["meta"]["train_seconds"] or 0 for result in finished)
        console.print(f"about {duration(seconds * len(todo) / jobs)} with --jobs {jobs}, from the runs that are done")
    else:
        of_config = shared["config"].get("trainer", {}).get("max_steps", "")
        steps = str(shared["flags"].get("trainer.max_steps", [of_config])[-1])
        each = f" of {int(steps):,} steps" if steps.isdigit() and int(steps) else ""
        console.print(f"{len(todo)} runs{each}; how long they take is known once one is done")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mtl compare",
        description="Train a grid of methods and seeds; more flags go to every fit.",
        epilog="example: python -m mtl compare --config configs/compare/digits.yaml --jobs 2 --dry_run",
        allow_abbrev=False,
    )
    parser.add_argument("--config", required=True, help="comparison file, for example configs/compare/digits.yaml")
    parser.add_argument("--runs_root", help="folder of the runs [runs/compare/<name of the file>]")
    add_queue_flags(parser)
    add_wandb_flag(parser)
    return parser
