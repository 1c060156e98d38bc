"""Text: words, subwords or letters of the task's vocabulary, of any length: a translation, a transcript.

The class names of the task are its vocabulary; the first two are the end of a text and the unknown word.
Shapes: B samples, L tokens of the longest text rounded up.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.functional.sequence.words import split_words
from mtl.inputs.pieces import PIECE, split_word
from mtl.targets.overlay import Answer, Overlay
from mtl.targets.target import IGNORE_INDEX, Sample, Target

END, UNKNOWN = 0, 1  # indices that every vocabulary of a target begins with
SPECIAL = ("<end>", "<unknown>")  # their names
PADDING = -1  # behind the end of a predicted text
LENGTH_MULTIPLE = 8  # L is rounded up to it, so compiled graphs see few shapes
_NO_SPACE_BEFORE = re.compile(r" (?=[.,!?;:%)])")


class Text(Target):
    """Class indices [L] without an end mark; -100 behind the end in a batch."""

    kind = "text"
    form = "indices of the task's vocabulary (int64 [L], of any length)"
    needs_classes = True
    open_names = True

    def missing(self, batch: Mapping[str, Tensor]) -> Tensor:
        return torch.full((0,), IGNORE_INDEX)

    def is_missing(self, sample: Sample) -> bool:
        return False  # an empty text is one

    def collate(self, samples: Sequence[Sample], present: Sequence[bool], batch: Mapping[str, Tensor]) -> Sample:
        name = self.task.name
        texts = [
            torch.as_tensor(sample[name], dtype=torch.int64) if here else self.missing(batch)
            for sample, here in zip(samples, present, strict=True)
        ]
        longest = max(1, *(len(text) for text in texts))
        rows = torch.full((len(texts), -(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE), IGNORE_INDEX)
        for row, text in enumerate(texts):
            if text.ndim != 1 or (len(text) and not 0 <= int(text.min()) <= int(text.max()) < self.task.num_classes):
                raise ValueError(
                    f"task {name!r} has a text that is not a row of indices below {self.task.num_classes}; a sample "
                    f"holds {self.form}."
                )
            rows[row, : len(text)] = text
        return {name: rows}

    def example(self, sample: Sample, rng: np.random.Generator) -> Sample:
        length = int(rng.integers(1, 7))
        return {self.task.name: torch.from_numpy(rng.integers(UNKNOWN + 1, self.task.num_classes, size=length))}

    def perfect(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        tokens_BL = batch[self.task.name]
        return {"tokens": tokens_BL.clamp(min=PADDING), "scores": torch.ones(len(tokens_BL))}

    def correct(self, predictions: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        ours_BL, theirs_BL = predictions["tokens"], batch[self.task.name].clamp(min=PADDING)
        length = max(ours_BL.shape[1], theirs_BL.shape[1])
        ours_BL, theirs_BL = (
            torch.nn.functional.pad(tokens, (0, length - tokens.shape[1]), value=PADDING)
            for tokens in (ours_BL, theirs_BL)
        )
        # an unknown word is never right: nobody knows which one is meant
        return ((ours_BL == theirs_BL) & (theirs_BL != UNKNOWN)).all(1)

    def overlay(
        self,
        predictions: Mapping[str, Tensor],
        index: int,
        batch: Mapping[str, Tensor] | None = None,
        min_score: float = 0.0,
    ) -> Overlay:
        text = self.text(predictions["tokens"][index])
        score = float(predictions["scores"][index]) if "scores" in predictions else None
        if batch is None:
            return Overlay(answer=Answer(text, score=score))
        true = self.text(batch[self.task.name][index])
        return Overlay(answer=Answer(text, true, score, text == true))

    def parse(self, cells: Sequence[str], missing: Sequence[str], separator: str) -> Any:
        (cell,) = cells
        if cell in missing:
            return None
        index = {name: number for number, name in enumerate(self.task.class_names) if number > UNKNOWN}
        pieces = any(name.startswith(PIECE) for name in index)
        tokens: list[int] = []
        for word in split_words(cell):
            form = word if word in index else word.lower()
            parts = split_word(form, index) if pieces else [form]
            tokens += [UNKNOWN] if parts is None else [index.get(part, UNKNOWN) for part in parts]
        return torch.tensor(tokens, dtype=torch.int64)

    @classmethod
    def names_in(cls, cells: Iterable[str], separator: str) -> tuple[str, ...]:
        """The words of the cells, the most frequent first."""
        counts = Counter(word for cell in cells for word in split_words(cell) if word not in SPECIAL)
        return (*SPECIAL, *sorted(counts, key=lambda word: (-counts[word], word)))

    def text(self, tokens_L: Tensor) -> str:
        """What people read.

        Args:
            tokens_L: indices; below 0 behind the end.
        """
        return as_text(self.task.class_name(token) for token in tokens_L.tolist() if token >= 0)


def as_text(tokens: Iterable[str]) -> str:
    """Words joined to a text: pieces to their word, and punctuation to the word before it.

    Args:
        tokens: words, or pieces of words, of which all but the first begin with `##`.
    """
    joined = " ".join(tokens).replace(f" {PIECE}", "").removeprefix(PIECE)
    return _NO_SPACE_BEFORE.sub("", joined)
