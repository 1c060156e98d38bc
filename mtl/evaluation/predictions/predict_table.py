"""Predict the rows of a CSV with a trained model: the same rows with a prediction for every task."""

import csv
from pathlib import Path
from typing import Any

import torch

from mtl.data.csv_rows import read_csv
from mtl.data.table.module import INPUT, TableDataModule
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of

_PREFIX = "predicted_"


def predict_table(
    model: MultiTaskModel | MultiTaskLightningModule,
    data: TableDataModule,
    table: Path,
    output: Path,
    batch_size: int = 256,
) -> int:
    """Predict for every row of a file; write its cells, and `predicted_<task>` with its score, to another.

    The file needs the input columns only. A category that the model does not know counts as missing.

    Args:
        model: a trained model, on the device to use.
        data: the data module of its training, which says what the columns mean; its own table is not read.
        table: the CSV file.
        output: the file to write.
        batch_size: rows at a time.

    Returns:
        Number of rows.

    Raises:
        ValueError: for a file without the input columns or without rows, for a cell of a numeric column that is no
            number, and for a model that takes other inputs than the table.
    """
    plain = model if isinstance(model, MultiTaskModel) else model.model
    if set(plain.inputs) != {INPUT}:
        raise ValueError(
            f"this model takes the inputs {', '.join(plain.inputs)}; predict --table gives the numbers of rows only. "
            "Use --text or --audio, or --split test for the rows of its own data."
        )
    if not table.is_file():
        raise ValueError(f"there is no file {str(table)!r}; give a CSV with the input columns of the training.")
    rows = read_csv(table, data.columns.used, "The model needs every input column of its training.")
    if not rows.rows:
        raise ValueError(f"{rows.source} has no row below its header.")
    values_NC = torch.from_numpy(data.encode(rows))
    targets = {name: target_of(plain.head(name).task) for name in plain.heads}
    device = next(plain.parameters()).device
    training = plain.training
    plain.eval()
    found: list[dict[str, Any]] = []
    try:
        for values_BC in values_NC.split(batch_size):
            predictions = plain.predict(values_BC.to(device))
            for index in range(len(values_BC)):
                shown = {name: target.row(target.overlay(predictions[name], index)) for name, target in targets.items()}
                found.append({f"{_PREFIX}{key}": cell for row in shown.values() for key, cell in row.items()})
    finally:
        plain.train(training)
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys([*rows.columns, *found[0]])))
        writer.writeheader()
        writer.writerows({**row, **new} for row, new in zip(rows.rows, found, strict=True))
    return len(found)
