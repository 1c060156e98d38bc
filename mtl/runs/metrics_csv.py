"""`MetricsCSV`: every number of a run in one local file, one row per step, columns by name."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from mtl.config.foreign_files import UnsafeFile, read_small
from mtl.errors import printable

_MOST_BYTES, _MOST_CELLS = 100_000_000, 5_000_000  # a million steps, logged every 50, with 100 columns: 2,000,000


class MetricsCSV(Logger):
    """Writes `metrics.csv`. Lightning's own logger deletes the file of a run that is resumed; this one appends.

    Args:
        path: the file; a file that is there is continued.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns: list[str] | None = None
        self._row: dict[str, Any] = {}  # the numbers of one step come in several calls

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the run folder holds the whole config already."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        if step is None:
            step = self._row.get("step", 0)
        if self._row and step != self._row["step"]:
            self.flush()
        self._row["step"] = step
        self._row |= {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}

    @rank_zero_only
    def flush(self) -> None:
        """Write the row that is still open; a later number of the same step begins a new row."""
        if not self._row:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        columns = self._known_columns()
        new = [name for name in self._row if name not in columns]
        if new:
            columns += new
            self._rewrite(columns)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, columns).writerow(self._row)
        self._row = {}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.flush()

    def _known_columns(self) -> list[str]:
        if self._columns is None:
            self._columns = []
            if self.path.is_file():
                self._columns = _table(self.path)[0]
        return self._columns

    def _rewrite(self, columns: list[str]) -> None:
        rows = read_rows(self.path) if self.path.is_file() else []
        # a whole new file takes the old one's place, so an interrupted run never leaves half of it
        part = self.path.with_suffix(".part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self.path)


def run_folder(trainer: Trainer) -> Path | None:
    """The folder of the run that a trainer works for: where its `metrics.csv` is; None without one.

    Args:
        trainer: the trainer.
    """
    return next((logger.path.parent for logger in trainer.loggers if isinstance(logger, MetricsCSV)), None)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv` as text; an empty text where a step has no such number.

    Args:
        path: the file.

    Raises:
        UnsafeFile: if it is damaged, or larger than a run writes.
    """
    columns, rows = _table(path)
    if len(columns) * len(rows) > _MOST_CELLS:
        raise UnsafeFile(f"{str(path)!r} has {len(columns):,} columns and {len(rows):,} rows, more than a run writes.")
    return [dict(zip(columns, [*row, *[""] * (len(columns) - len(row))], strict=False)) for row in rows]


def read_series(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Every column as steps and values, in order of the steps.

    A step that a resumed run repeats keeps its last value.

    Args:
        path: a `metrics.csv`.

    Raises:
        UnsafeFile: as `read_rows`.
    """
    columns, rows = _table(path)
    series: dict[str, dict[int, float]] = {}
    try:
        place = columns.index("step")
        for row in rows:
            step = int(row[place])
            for name, text in zip(columns, row, strict=False):
                if name != "step" and text:
                    series.setdefault(name, {})[step] = float(text)
    except (ValueError, IndexError) as error:
        raise UnsafeFile(
            f"{str(path)!r} is damaged: {printable(str(error), 100)}. Delete it, or correct it."
        ) from error
    return {name: (sorted(points), [points[step] for step in sorted(points)]) for name, points in series.items()}


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows, without more cells than a run writes."""
    try:
        text = read_small(path, _MOST_BYTES).decode("utf-8")
        head, *rows = csv.reader(io.StringIO(text, newline="")) if text else [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UnsafeFile(f"{str(path)!r} is damaged: {error}. Delete it, or correct it.") from error
    if sum(map(len, rows)) + len(head) > _MOST_CELLS:
        raise UnsafeFile(f"{str(path)!r} has more than {_MOST_CELLS:,} cells, more than a run writes.")
    return head, [row for row in rows if row]
