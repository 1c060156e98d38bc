"""Sentences with what was predicted of them: as rows of a CSV, and as a picture with the errors in red."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from mtl.drawing.figure_file import save_figure

_LINE_IN = 0.2  # height of a line in inches
_WIDTH_IN = 11.0
_LETTERS = 120  # of a line


@dataclass(frozen=True)
class TaskAnswer:
    """What one task said of a sentence.

    Args:
        task: name of the task.
        predicted: the prediction.
        true: the truth; None where nobody knows it.
        correct: None where it is unknown.
    """

    task: str
    predicted: str
    true: str | None
    correct: bool | None


@dataclass(frozen=True)
class Example:
    """One sentence.

    Args:
        text: the sentence.
        answers: one of each task.
    """

    text: str
    answers: tuple[TaskAnswer, ...]

    @property
    def has_error(self) -> bool:
        """Whether some task was wrong."""
        return any(answer.correct is False for answer in self.answers)


def columns(examples: Sequence[Example]) -> list[str]:
    """Names of the columns of a table: the text, and three for each task.

    Args:
        examples: the sentences.
    """
    tasks = dict.fromkeys(answer.task for example in examples for answer in example.answers)
    return ["text", *(name for task in tasks for name in (task, f"{task}_true", f"{task}_correct"))]


def row(example: Example) -> dict[str, object]:
    """One row of that table.

    Args:
        example: the sentence.
    """
    values: dict[str, object] = {"text": example.text}
    for answer in example.answers:
        values |= {answer.task: answer.predicted, f"{answer.task}_true": answer.true}
        values[f"{answer.task}_correct"] = answer.correct
    return values


def write_examples(examples: Sequence[Example], path: Path) -> None:
    """A CSV with one row for each sentence.

    Args:
        examples: the sentences.
        path: the file, whose folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns(examples))
        writer.writeheader()
        writer.writerows(map(row, examples))


def draw_examples(examples: Sequence[Example], path: Path) -> bool:
    """A picture of some sentences; what is wrong is red, with the truth behind it.

    Args:
        examples: the sentences.
        path: the file, whose folder is made.

    Returns:
        Whether it was written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines: list[tuple[str, str, str]] = []  # text, colour, weight
    for example in examples:
        lines += [(part, "black", "bold") for part in wrap(example.text, _LETTERS)]
        for answer in example.answers:
            wrong = answer.correct is False
            told = f"    {answer.task}: {answer.predicted}" + (f"   [is: {answer.true}]" if wrong else "")
            color = "#c62828" if wrong else "#2e7d32" if answer.correct else "#555555"
            lines += [(part, color, "normal") for part in wrap(told, _LETTERS, drop_whitespace=False)]
        lines.append(("", "black", "normal"))
    height = _LINE_IN * (len(lines) + 1)
    figure = Figure(figsize=(_WIDTH_IN, height))
    FigureCanvasAgg(figure)
    for number, (text, color, weight) in enumerate(lines):
        place = 1 - _LINE_IN * (number + 1) / height
        # a dollar sign is no formula
        figure.text(0.01, place, text.replace("$", r"\$"), color=color, weight=weight, fontsize=9, family="monospace")
    return save_figure(figure, path)
