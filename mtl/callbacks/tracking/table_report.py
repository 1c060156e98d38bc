"""`TableReport`: after the test of a table, baselines, subgroups, reliability and net benefit; printed and as files."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from rich import box, get_console
from rich.table import Table

from mtl.callbacks.model_parts import model_of
from mtl.data.table.module import TableDataModule
from mtl.drawing.figure_file import not_costing
from mtl.drawing.net_benefit import draw_net_benefit
from mtl.drawing.reliability import draw_reliability
from mtl.evaluation.tables.resampling import RESAMPLES
from mtl.evaluation.tables.table_baselines import BOOSTING, LINEAR
from mtl.evaluation.tables.table_report import LEAST_ROWS, NETWORK, Answers, Line, answers, by_subgroup, compare
from mtl.runs.metrics_csv import run_folder

_INTERVALS = "Intervals: 95 % of the bootstrap."


class TableReport(Callback):
    """Fits linear models and gradient boosting to the training rows, and compares all on the test rows.

    Prints the metric that each task is judged by, and writes every metric of its test that does not depend on a
    threshold to `baselines.csv` and `subgroups.csv`, with 95 % bootstrap intervals; `pictures/reliability.png`; and
    `pictures/net_benefit.png`, the decision curves of all models. The subgroups are the `subgroups` of the data.

    Args:
        unit: one of the `subgroups` whose rows are resampled together, such as the patient; each row by default.
        boosting: fit gradient boosting too.
        resamples: number of bootstrap resamples.
        run_dir: folder of the files; the run's by default.

    Raises:
        ValueError: for data that is no table, or a unit that is not among its subgroups.
    """

    def __init__(
        self,
        unit: str | None = None,
        boosting: bool = True,
        resamples: int = RESAMPLES,
        run_dir: Path | None = None,
    ) -> None:
        if resamples < 1:
            raise ValueError(f"TableReport: resamples={resamples} must be at least 1.")
        self.unit, self.boosting, self.resamples, self.run_dir = unit, boosting, resamples, run_dir

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, TableDataModule):
            raise ValueError(
                f"TableReport is for tables (CsvTable and its like); the data is {type(data).__name__}. Remove it."
            )
        if not data.only_numbers:
            raise ValueError(
                f"TableReport fits its baselines to the numbers of rows, and {type(data).__name__} gives others "
                "too. Remove it."
            )
        if self.unit is not None and self.unit not in data.subgroups:
            raise ValueError(
                f"TableReport has unit={self.unit!r}, which is not among the subgroups of the data: "
                f"{', '.join(data.subgroups) or 'there are none'}. Add it to data.init_args.subgroups."
            )

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero:
            return
        assert isinstance(data, TableDataModule)
        data.setup("fit")
        found = answers(model_of(pl_module), data, self.boosting)
        subgroups = data.test_set.subgroups  # type: ignore[attr-defined]
        units = subgroups[self.unit] if self.unit else None
        lines = compare(found, units, self.resamples)
        columns = {column: names for column, names in subgroups.items() if column != self.unit}
        parts = by_subgroup(found, columns, units, self.resamples)
        run_dir = self.run_dir or run_folder(trainer)
        if run_dir is not None:
            write_lines(run_dir / "baselines.csv", lines)
            if parts:
                write_lines(run_dir / "subgroups.csv", parts)
            _draw(found, run_dir / "pictures")
        console, judged = get_console(), {(each.task.name, each.metrics[0]) for each in found}
        console.print("", baseline_table([line for line in lines if (line.task, line.metric) in judged]))
        if parts:
            console.print("", subgroup_table([line for line in parts if (line.task, line.metric) in judged]))


def _draw(found: Sequence[Answers], folder: Path) -> None:
    binary = [each for each in found if each.is_binary]
    if not binary:
        return
    models = {
        each.task.name: ({who: made["probabilities"][:, 1] for who, made in each.by_model.items()}, each.targets_N == 1)
        for each in binary
    }
    with not_costing("the pictures of reliability and net benefit"):
        network = {task: (by_model[NETWORK], labels_N) for task, (by_model, labels_N) in models.items()}
        draw_reliability(network, folder / "reliability.png")
        draw_net_benefit(models, folder / "net_benefit.png")


def write_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write the lines of a report as a CSV.

    Args:
        path: the file.
        lines: the lines.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "metric", "who", "rows", "positive", "value", "low", "high", "gap_low", "gap_high"])
        for line in lines:
            numbers = [line.value, line.low, line.high, *(line.difference or (math.nan, math.nan))]
            cells = ["" if math.isnan(number) else f"{number:.5f}" for number in numbers]
            writer.writerow([line.task, line.metric, line.who, line.rows, max(line.positive, 0), *cells])


def baseline_table(lines: Sequence[Line]) -> Table:
    """A row for each task and model.

    Args:
        lines: what `compare` gives.
    """
    table = _table(["task", "model"], "rows", "value", "network minus it")
    table.caption = f"{LINEAR}: logistic or ridge regression; {BOOSTING}: gradient boosting. {_INTERVALS}"
    for line in lines:
        gap = _range(*line.difference, sign=True) if line.difference else ""
        start = f"{line.task}, {line.metric}" if line.who == NETWORK else ""
        table.add_row(start, line.who, str(line.rows) if start else "", _value(line), gap)
    return table


def subgroup_table(lines: Sequence[Line]) -> Table:
    """A row for each task and subgroup.

    Args:
        lines: what `by_subgroup` gives.
    """
    table = _table(["task", "subgroup"], "rows", "positive", "value")
    table.caption = _INTERVALS
    last = ""
    for line in lines:
        positive = "" if line.positive < 0 else str(line.positive)
        task = "" if line.task == last else f"{line.task}, {line.metric}"
        none = "too few rows" if line.rows < LEAST_ROWS else "one class alone"
        table.add_row(task, line.who, str(line.rows), positive, _value(line) or none)
        last = line.task
    return table


def _table(names: Sequence[str], *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption_justify="left")
    for name in names:  # what is too wide for the screen continues on the next line; numbers are never cut
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, no_wrap=True)
    return table


def _value(line: Line) -> str:
    return "" if math.isnan(line.value) else f"{line.value:.3f} {_range(line.low, line.high)}"


def _range(low: float, high: float, sign: bool = False) -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"\\[{low:+.3f}, {high:+.3f}]" if sign else f"\\[{low:.3f}, {high:.3f}]"
