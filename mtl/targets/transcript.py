"""Transcripts: letters or words of the task's vocabulary in the order in which they are heard, without their times.

The class names of the task are its vocabulary; the first is the blank of CTC, which no transcript holds.
Shapes: B samples, L symbols of the longest transcript rounded up.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.functional.sequence.ctc import BLANK
from mtl.targets.target import Sample
from mtl.targets.text import PADDING, Text

BLANK_NAME = "<blank>"  # what vocabularies call index 0


class Transcript(Text):
    """Class indices [L], each at least 1; -100 behind the end in a batch."""

    kind = "transcript"
    open_names = False
    form = "indices of the task's vocabulary, the blank 0 left out (int64 [L], of any length)"

    def collate(self, samples: Sequence[Sample], present: Sequence[bool], batch: Mapping[str, Tensor]) -> Sample:
        made = super().collate(samples, present, batch)
        if (made[self.task.name] == BLANK).any():
            raise ValueError(
                f"task {self.task.name!r} has a transcript with index 0, the blank; a sample holds {self.form}."
            )
        return made

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        # short enough for the steps of the shortest input, also if all symbols are equal
        steps = min((len(value) for value in sample.values() if isinstance(value, Tensor) and value.ndim), default=1)
        length = int(rng.integers(1, min(6, (steps + 1) // 2) + 1))
        return {self.task.name: torch.from_numpy(rng.integers(1, self.task.num_classes, size=length))}

    def correct(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        ours_BL, theirs_BL = predictions["tokens"], batch[self.task.name].clamp(min=PADDING)
        length = max(ours_BL.shape[1], theirs_BL.shape[1])
        ours_BL, theirs_BL = (
            torch.nn.functional.pad(tokens, (0, length - tokens.shape[1]), value=PADDING)
            for tokens in (ours_BL, theirs_BL)
        )
        return (ours_BL == theirs_BL).all(1)

    def parse(self, cells: Sequence[str], missing: Sequence[str], separator: str) -> Any:
        (cell,) = cells
        if cell in missing:
            return None
        symbols = _one_line(cell) if self._letters else cell.split()
        for symbol in symbols:
            if symbol not in self.task.class_names:
                raise self.unknown_class(symbol)
            if symbol == self.task.class_names[BLANK]:
                raise ValueError(
                    f"task {self.task.name!r} has the label {symbol!r}, its first class, which is CTC's blank and "
                    f"stands for nothing. Begin `classes` with {BLANK_NAME!r}."
                )
        return torch.tensor([self.task.class_names.index(symbol) for symbol in symbols], dtype=torch.int64)

    @classmethod
    def names_in(cls, cells: Iterable[str], separator: str) -> tuple[str, ...]:
        """The blank, and the letters of the cells, the space among them."""
        return (BLANK_NAME, *sorted({letter for cell in cells for letter in _one_line(cell)}))

    def text(self, tokens_L: Tensor) -> str:
        """Letters joined to a text, or words with a space between them.

        Args:
            tokens_L: indices; below 0 behind the end.
        """
        names = [self.task.class_name(token) for token in tokens_L.tolist() if token > BLANK]
        return "".join(names) if self._letters else " ".join(names)

    @property
    def _letters(self) -> bool:
        """Whether the symbols are letters, not words."""
        names = self.task.class_names[1:]
        return bool(names) and all(len(name) == 1 for name in names)


def _one_line(cell: str) -> str:
    """What is said, with one space between words, where a cell may have several or begin a line."""
    return " ".join(cell.split())
