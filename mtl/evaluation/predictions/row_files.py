"""Files of predictions that are rows: `predictions.json` with the reasons of what was left out, `predictions.csv`."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import get_console

_MOST_SHOWN = 10  # of what was left out, on the screen


def write_rows(
    output: Path,
    what: str,
    rows: Sequence[Mapping[str, Any]],
    skipped: Sequence[Mapping[str, Any]],
    table: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write both files.

    Args:
        output: folder to write to.
        what: key of the rows in the JSON file, such as `sentences`.
        rows: one for each sample.
        skipped: what was left out, each with its `reason`.
        table: rows of the CSV, where they differ from the rows of the JSON.
    """
    table = rows if table is None else table
    output.mkdir(parents=True, exist_ok=True)
    document = {what: rows, "skipped": skipped}
    (output / "predictions.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    with (output / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(column for row in table for column in row)))
        writer.writeheader()
        writer.writerows(table)


def report_skipped(what: str, reasons: Sequence[str], file: str = "predictions.json") -> None:
    """Say on the screen what was left out; nothing if nothing was.

    Args:
        what: for example `lines`.
        reasons: each with the place.
        file: where all of them are.
    """
    if reasons:
        more = [f"and {len(reasons) - _MOST_SHOWN} more, all in {file}"] * (len(reasons) > _MOST_SHOWN)
        text = f"skipped {len(reasons)} {what}:\n  " + "\n  ".join([*reasons[:_MOST_SHOWN], *more])
        get_console().print(text, highlight=False, markup=False, soft_wrap=True)
