"""Predict lines of text with a trained model: one row of a CSV, and one entry of a JSON file, for each sentence."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mtl.batch import Batch, collate
from mtl.data.folder.files.text_files import read_text
from mtl.data.text.lines import check_characters, check_length, split_marks, words_of
from mtl.evaluation.predictions.row_files import report_skipped, write_rows
from mtl.inputs.input import Input, input_kind
from mtl.inputs.tokens import forms
from mtl.model import MultiTaskModel
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of
from mtl.task import InputSpec, Task

MOST_WORDS = 512  # of a line; what is longer is no sentence


@dataclass(frozen=True)
class _Line:
    number: int
    words: list[str]


def predict_text(
    model: MultiTaskModel | MultiTaskLightningModule, text: Path, output: Path, batch_size: int = 32
) -> dict[str, Any]:
    """Predict for every line of a text file; write `predictions.json` and `predictions.csv`.

    The CSV is for people: the tags of a sentence stand there as what they name, `city: new york; day: monday`.

    Args:
        model: a trained model whose inputs are made of words, on the device to use.
        text: the file, one sentence a line; words are split at spaces, as in training. A mark at the edge of an unknown
            word, as in `boston?`, is a word of its own if training had such words, and left out otherwise.
        output: folder to write to.
        batch_size: sentences at a time.

    Returns:
        Numbers of `sentences` and `skipped` lines, and `skipped_lines` by number with the reason.

    Raises:
        ValueError: for a file without a sentence, and for a model that takes something else than words.
    """
    plain = model if isinstance(model, MultiTaskModel) else model.model
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1.")
    inputs = _inputs_of(plain)
    whole = any(input_kind(spec).begins(spec) is not None for spec in inputs.values())
    known = {name for spec in inputs.values() if not input_kind(spec).steps_of for name in spec.names}
    lines, skipped = _read(text, None if whole else known)
    if not lines:
        raise ValueError(f"{str(text)!r} has no line that can be read as a sentence ({len(skipped)} skipped).")
    tasks = {name: plain.head(name).task for name in plain.heads}
    training = plain.training
    plain.eval()
    try:
        rows = list(_predict(plain, tasks, inputs, lines, batch_size))
        table = [_for_people(row, line, tasks) for row, line in zip(rows, lines, strict=True)]
    finally:
        plain.train(training)
    reasons = [{"line": number, "reason": reason} for number, reason in skipped.items()]
    write_rows(output, "sentences", rows, reasons, table)
    report_skipped("lines", [f"line {number}: {reason}" for number, reason in skipped.items()])
    return {"sentences": len(rows), "skipped": len(skipped), "skipped_lines": skipped}


def _inputs_of(model: MultiTaskModel) -> dict[str, InputSpec]:
    specs = {name: part.spec for name, part in model.inputs.items() if isinstance(part, Input)}
    for spec in specs.values():
        try:
            input_kind(spec).reader(spec)
        except ValueError as error:
            raise ValueError(f"predict --text reads sentences, and this model cannot: {error}") from error
    return specs


def _read(text: Path, known: Container[str] | None) -> tuple[list[_Line], dict[int, str]]:
    """The sentences of a file, and why lines are left out; words are whole where none is known."""
    if not text.is_file():
        raise ValueError(f"there is no file {str(text)!r}; --text takes a file with one sentence a line.")
    content = read_text(text).replace("\r\n", "\n").replace("\r", "\n")
    lines, skipped = [], {}
    for number, line in enumerate(content.removesuffix("\n").split("\n"), start=1):
        words = words_of(line)
        try:
            check_characters(line, "the line")
            check_length(words, MOST_WORDS, "the line")
        except ValueError as error:
            skipped[number] = "empty" if not words else str(error).split(". ")[0]
            continue
        if known is not None:
            words = [part for word in words for part in _without_marks(word, known)] or words
        lines.append(_Line(number, words))
    return lines, skipped


def _without_marks(word: str, known: Container[str]) -> list[str]:
    """The word, without marks at its edges that would make it unknown, and the marks that are words themselves."""
    if any(form in known for form in forms(word)):
        return [word]
    parts = split_marks(word)
    return [part for part in parts if part in known or any(letter.isalnum() for letter in part)] or parts


def _predict(
    model: MultiTaskModel,
    tasks: dict[str, Task],
    inputs: dict[str, InputSpec],
    lines: Sequence[_Line],
    batch_size: int,
) -> Iterator[dict[str, Any]]:
    device = next(model.parameters()).device
    readers = {name: input_kind(spec).reader(spec) for name, spec in inputs.items()}
    begins = next(filter(None, (input_kind(spec).begins(spec) for spec in inputs.values())), None)
    for start in range(0, len(lines), batch_size):
        part = lines[start : start + batch_size]
        samples = [{name: read(line.words) for name, read in readers.items()} for line in part]
        batch: Batch = collate(samples, {}, inputs)
        predictions = model.predict({k: v.to(device) for k, v in batch.items() if isinstance(v, Tensor)})
        for index, line in enumerate(part):
            row: dict[str, Any] = {"line": line.number, "text": " ".join(line.words)}
            for name, found in predictions.items():
                target, here = target_of(tasks[name]), {key: value[index : index + 1] for key, value in found.items()}
                if target.of_steps and begins is not None:
                    here = {key: value[:, list(begins(line.words))] for key, value in here.items()}
                row |= target.row(target.overlay(here, 0))
            yield row


def _for_people(row: dict[str, Any], line: _Line, tasks: dict[str, Task]) -> dict[str, Any]:
    return row | {name: target_of(task).readable(row[name], line.words) for name, task in tasks.items() if name in row}
