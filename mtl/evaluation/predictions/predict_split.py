"""Predict a split of the run's own data: any input kind, one row of a CSV and one entry of a JSON file a sample."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mtl.batch import collate, labelled
from mtl.data.module import JointDataModule
from mtl.errors import check_least
from mtl.evaluation.data.data_findings import names_of
from mtl.evaluation.predictions.row_files import write_rows
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.targets.overlay import Boxes, Overlay
from mtl.targets.target import Target, target_of

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def predict_split(
    model: MultiTaskModel | MultiTaskLightningModule,
    data: JointDataModule,
    split: Split,
    output: Path,
    score_threshold: float = 0.3,
    batch_size: int = 16,
) -> dict[str, Any]:
    """Predict every sample of a split; write `predictions.json` and `predictions.csv`.

    A row has the index of the sample, the name of its file or its words as `name`, and for each task the prediction
    and, as `<task>_true`, the label. Boxes are in the JSON, in pixels of the file where the data set knows it. Maps are
    not written: `--images` writes them.

    Args:
        model: a trained model, on the device to use.
        data: the data module of its run, before `setup`.
        split: `train`, `val` or `test`; training samples come unaugmented.
        output: folder to write to.
        score_threshold: boxes below it are left out, 0 to 1.
        batch_size: samples at a time.

    Returns:
        The number of `samples`.

    Raises:
        ValueError: for settings out of range, a split that does not exist or has no samples, and for a model that
            needs other inputs than the data set gives.
    """
    plain = model if isinstance(model, MultiTaskModel) else model.model
    check_least(1, batch_size=batch_size)
    if not 0 <= score_threshold <= 1:
        raise ValueError(f"score_threshold={score_threshold} must lie within 0..1.")
    missing = [name for name in plain.inputs if name not in data.inputs]
    if missing:
        raise ValueError(
            f"this model takes the inputs {', '.join(plain.inputs)}; {type(data).__name__} gives "
            f"{', '.join(data.inputs)}."
        )
    data.setup("test" if split == "test" else "fit")
    samples: Any = getattr(data, f"{split}_set", None)
    if not hasattr(samples, "__len__") or not len(samples):
        raise ValueError(f"{type(data).__name__} has no {split} samples; the splits are {', '.join(SPLITS)}.")
    training = plain.training
    plain.eval()
    try:
        found = list(_predict(plain, data, samples, score_threshold, batch_size))
    finally:
        plain.train(training)
    # a cell holds no list of boxes
    rows = [{key: value for key, value in row.items() if not isinstance(value, list)} for row in found]
    write_rows(output, "samples", found, [], rows)
    return {"samples": len(found)}


def _predict(
    model: MultiTaskModel, data: JointDataModule, samples: Any, score_threshold: float, batch_size: int
) -> Iterator[dict[str, Any]]:
    device, names, words = next(model.parameters()).device, names_of(samples), getattr(samples, "text", None)
    targets = {name: target_of(model.head(name).task) for name in model.heads}
    for start in range(0, len(samples), batch_size):
        indices = range(start, min(start + batch_size, len(samples)))
        batch = collate([dict(samples[index]) for index in indices], data.tasks, data.inputs)
        tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
        predictions = model.predict({key: value.to(device) for key, value in tensors.items()})
        for place, index in enumerate(indices):
            row: dict[str, Any] = {"sample": index}
            if names:
                row["name"] = names[index]
            elif words is not None:
                row["name"] = words(index)
            for name, target in targets.items():
                known = name in data.tasks and bool(labelled(batch, data.tasks[name])[place])
                shown = target.overlay(predictions[name], place, tensors if known else None, score_threshold)
                row |= _cells(target, shown, tensors, place)
            yield row


def _cells(target: Target, shown: Overlay, batch: dict[str, Tensor], place: int) -> dict[str, Any]:
    task = target.task
    if isinstance(shown.predicted, Boxes) and {"orig_size", "to_original"} <= batch.keys():
        height, width = batch["orig_size"][place].tolist()
        shown = shown.in_file(batch["to_original"][place], height, width)
    cells = dict(target.row(shown))
    if shown.answer is not None and shown.answer.true is not None:
        cells[f"{task.name}_true"] = shown.answer.true
    if isinstance(shown.predicted, Boxes) and shown.predicted.scores is not None:
        boxes = shown.predicted
        columns = boxes.boxes.tolist(), boxes.labels.tolist(), shown.predicted.scores.tolist()
        cells[task.name] = [
            {"class": task.class_name(label), "score": round(score, 5), "box": [round(side, 2) for side in box]}
            for box, label, score in zip(*columns, strict=True)
        ]
    return cells
