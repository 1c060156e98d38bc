"""Predict the rows of a CSV with a trained model: the same rows with a prediction for every task."""

import csv
from pathlib import Path
from typing import Any

from torch import Tensor

from mtl.batch import Batch, collate
from mtl.data.csv_rows import read_csv
from mtl.data.table.module import TableDataModule
from mtl.errors import printable
from mtl.evaluation.predictions.row_files import report_skipped
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of

_PREFIX = "predicted_"
_SKIPPED = "skipped"  # column with the reason why a row has no prediction


def predict_table(
    model: MultiTaskModel | MultiTaskLightningModule,
    data: TableDataModule,
    table: Path,
    output: Path,
    batch_size: int = 256,
) -> dict[str, Any]:
    """Predict for every row of a file; write its cells, and `predicted_<task>` with its score, to another.

    The file needs the input columns only; pictures are beside it, or in the folder of the training. A category that the
    model does not know counts as missing, unless the run says `on_unknown_category: error`. A row that cannot be read
    costs nothing but itself: its predictions stay empty, and the column `skipped` has the reason.

    Args:
        model: a trained model, on the device to use.
        data: the data module of its training, which says what the columns mean; its own table is not read.
        table: the CSV file.
        output: the file to write.
        batch_size: rows at a time.

    Returns:
        Numbers of predicted `rows` and `skipped` rows, and `skipped_rows` by line with the reason.

    Raises:
        ValueError: for a file without the input columns or without a row that can be read, and for a model that takes
            other inputs than the table.
    """
    plain = model if isinstance(model, MultiTaskModel) else model.model
    if not data.new_tables or not plain.inputs.keys() <= data.inputs.keys():
        raise ValueError(
            f"this model takes the inputs {', '.join(plain.inputs)}; predict --table gives the numbers of rows and the "
            "pictures that they name. Use --text or --audio, or --split test for the rows of its own data."
        )
    if not table.is_file():
        raise ValueError(f"there is no file {str(table)!r}; give a CSV with the input columns of the training.")
    columns, reasons = [*data.columns.used, *data.more_columns()], dict[int, str]()
    rows = read_csv(table, columns, "The model needs every input column of its training.", uneven=reasons)
    if not rows.rows:
        raise ValueError(f"{rows.source} has no row below its header.")
    # a row of which cells are missing has the others in wrong columns: nothing more is said of it
    reasons = {rows.lines[place]: printable(reason) for place, reason in data.faults(rows).items()} | reasons
    listed = [f"line {line}: {reasons[line]}" for line in sorted(reasons)]
    kept = [place for place, line in enumerate(rows.lines) if line not in reasons]
    if not kept:
        raise ValueError(f"none of {len(listed)} rows of {rows.source} can be read; the first: {listed[0]}.")
    found = dict(zip(kept, _predict(plain, data, data.new_rows(rows.at(kept)), batch_size), strict=True))
    names = [*next(iter(found.values())), _SKIPPED]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*rows.columns, *names])))
        writer.writeheader()
        for place, row in enumerate(rows.rows):
            # of an earlier prediction of the same file nothing stays
            empty = dict.fromkeys(names, "")
            writer.writerow({**row, **empty, **found.get(place, {}), _SKIPPED: reasons.get(rows.lines[place], "")})
    report_skipped("rows", listed, output.name)
    return {"rows": len(found), "skipped": len(listed), "skipped_rows": reasons}


def _predict(model: MultiTaskModel, data: TableDataModule, samples: Any, batch_size: int) -> list[dict[str, Any]]:
    """The cells of every row's predictions."""
    targets = {name: target_of(model.head(name).task) for name in model.heads}
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    found: list[dict[str, Any]] = []
    try:
        for start in range(0, len(samples), batch_size):
            indices = range(start, min(start + batch_size, len(samples)))
            batch: Batch = collate([dict(samples[index]) for index in indices], {}, data.inputs)
            predictions = model.predict({k: v.to(device) for k, v in batch.items() if isinstance(v, Tensor)})
            for index in range(len(indices)):
                shown = {name: target.row(target.overlay(predictions[name], index)) for name, target in targets.items()}
                found.append({f"{_PREFIX}{key}": cell for row in shown.values() for key, cell in row.items()})
    finally:
        model.train(training)
    return found
