"""Predict a folder of recordings with a trained model: one row of a CSV, and one entry of a JSON file, for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from mtl.batch import Batch, collate
from mtl.data.audio.audio_file import MAX_SECONDS, SUFFIXES, read_audio, recordings_below
from mtl.errors import printable
from mtl.evaluation.predictions.row_files import report_skipped, write_rows
from mtl.inputs.audio import DEFAULT_RATE
from mtl.inputs.input import Input
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of
from mtl.task import InputSpec


def predict_audio(
    model: MultiTaskModel | MultiTaskLightningModule,
    audio: Path,
    output: Path,
    batch_size: int = 16,
    max_seconds: float = MAX_SECONDS,
) -> dict[str, Any]:
    """Predict for every recording below a folder; write `predictions.json` and `predictions.csv`.

    A recording of any rate and number of channels is read as one channel at the rate of the training. A file that
    cannot be read costs nothing but itself: its name and the reason are in the JSON.

    Args:
        model: a trained model whose only input is audio, on the device to use.
        audio: folder of recordings, or one recording; files of other kinds are left alone.
        output: folder to write to.
        batch_size: recordings at a time.
        max_seconds: longest recording.

    Returns:
        Numbers of `recordings` and `skipped` files, and `skipped_files` by name with the reason.

    Raises:
        ValueError: for a folder without a recording that can be read, for settings out of range, and for a model that
            takes something else than audio.
    """
    plain = model if isinstance(model, MultiTaskModel) else model.model
    if batch_size < 1 or max_seconds <= 0:
        raise ValueError(f"batch_size={batch_size} must be at least 1 and max_seconds={max_seconds} above 0.")
    spec = _audio_of(plain)
    files = recordings_below(audio)
    if not files:
        raise ValueError(f"no recording below {str(audio)!r}; the forms are {', '.join(SUFFIXES)}.")
    root = audio if audio.is_dir() else audio.parent
    rate = spec.rate or DEFAULT_RATE
    rows: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    training = plain.training
    plain.eval()
    try:
        for start in range(0, len(files), batch_size):
            waves: dict[str, Tensor] = {}
            for file in files[start : start + batch_size]:
                name = file.relative_to(root).as_posix()
                try:
                    waves[name] = read_audio(file, rate, max_seconds)
                except (ValueError, OSError, ImportError) as error:
                    skipped[name] = str(error).replace(repr(str(file)), "it").split(". ")[0]
            if waves:
                rows += _rows(plain, spec, list(waves), list(waves.values()), rate)
    finally:
        plain.train(training)
    reasons = [f"{printable(name)}: {reason}" for name, reason in skipped.items()]
    if not rows:
        raise ValueError(f"none of {len(files)} recordings below {str(audio)!r} can be read; the first: {reasons[0]}.")
    write_rows(output, "recordings", rows, [{"file": name, "reason": why} for name, why in skipped.items()])
    report_skipped("files", reasons)
    return {"recordings": len(rows), "skipped": len(skipped), "skipped_files": skipped}


def _audio_of(model: MultiTaskModel) -> InputSpec:
    specs = [part.spec for part in model.inputs.values() if isinstance(part, Input)]
    if [spec.kind for spec in specs] != ["audio"]:
        listed = ", ".join(f"{spec.name} ({spec.kind})" for spec in specs)
        raise ValueError(f"predict --audio reads recordings, and this model cannot: it takes {listed}.")
    return specs[0]


def _rows(
    model: MultiTaskModel, spec: InputSpec, names: Sequence[str], waves: Sequence[Tensor], rate: int
) -> list[dict[str, Any]]:
    device = next(model.parameters()).device
    batch: Batch = collate([{spec.name: wave} for wave in waves], {}, {spec.name: spec})
    predictions = model.predict({k: v.to(device) for k, v in batch.items() if isinstance(v, Tensor)})
    rows = []
    for index, (name, wave) in enumerate(zip(names, waves, strict=True)):
        row: dict[str, Any] = {"file": name, "seconds": round(len(wave) / rate, 3)}
        for task, found in predictions.items():
            target = target_of(model.head(task).task)
            row |= target.row(target.overlay(found, index))
        rows.append(row)
    return rows
