"""Tokens: sequences of indices of a vocabulary, of any length; 0 is padding.

Shapes: B samples, T steps of the longest sequence rounded up.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.features import MASK
from mtl.inputs.input import Input
from mtl.inputs.tokenizer_file import tokenizer_of
from mtl.task import InputSpec

PADDING, UNKNOWN = 0, 1  # indices that every vocabulary begins with
SPECIAL = ("<padding>", "<unknown>")  # their names
STEPS_MULTIPLE = 8  # T is rounded up to it, so compiled graphs see few shapes


class TokensInput(Input):
    """Passes indices and their mask on; the embedding belongs to the backbone.

    Args:
        spec: the input; its `channels` are the size of the vocabulary, padding included.
    """

    kind = "tokens"
    form = "indices of a vocabulary (int64 [T]); 0 is padding, unless a tokenizer numbers its pieces in another way"

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        sequences = [torch.as_tensor(value, dtype=torch.int64) for value in values]
        mask = mask_of_lengths([len(sequence) for sequence in sequences])
        tokens = torch.full(mask.shape, PADDING)
        for row, sequence in enumerate(sequences):
            tokens[row, : len(sequence)] = sequence
        check_indices(spec, tokens, "a vocabulary")
        return {spec.name: tokens, spec.name + MASK: mask}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        return torch.from_numpy(rng.integers(1, spec.channels, size=int(rng.integers(3, 12))))

    @classmethod
    def reader(cls, spec: InputSpec) -> Callable[[Sequence[str]], Tensor]:
        if spec.tokenizer:
            pieces_of = tokenizer_of(spec.tokenizer)
            return lambda words: torch.tensor(pieces_of(words).indices)
        cls.require_names(spec)
        index = {name: number for number, name in enumerate(spec.names) if number > UNKNOWN}

        def read(words: Sequence[str]) -> Tensor:
            return torch.tensor([next((index[f] for f in forms(word) if f in index), UNKNOWN) for word in words])

        return read

    @classmethod
    def begins(cls, spec: InputSpec) -> Callable[[Sequence[str]], Sequence[int]] | None:
        if not spec.tokenizer:
            return None
        pieces_of = tokenizer_of(spec.tokenizer)
        return lambda words: pieces_of(words).begins

    def step_names(self, batch: Mapping[str, Tensor], index: int) -> list[str]:
        return named_steps(self.spec, batch, index)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return as_they_are(self.spec, batch)


def mask_of_lengths(lengths: Sequence[int]) -> Tensor:
    """Which steps of a batch are real, [B,T], T rounded up.

    Args:
        lengths: steps of each sample.
    """
    steps = -(-max(1, *lengths) // STEPS_MULTIPLE) * STEPS_MULTIPLE
    return torch.arange(steps) < torch.tensor(lengths)[:, None]


def check_indices(spec: InputSpec, indices: Tensor, what: str) -> None:
    """Refuse indices that no entry has.

    Args:
        spec: the input; its `channels` are the number of entries.
        indices: of a batch.
        what: of which they are entries, for the message.

    Raises:
        ValueError: with the smallest and the largest one.
    """
    low, high = int(indices.min()), int(indices.max())
    if high >= spec.channels or low < 0:
        raise ValueError(
            f"input {spec.name!r} has {what} of {spec.channels}; found indices {low} to {high}. Write the vocabulary "
            "from the data that is read."
        )


def as_they_are(spec: InputSpec, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Indices and mask of a batch; the embedding belongs to the backbone.

    Args:
        spec: the input.
        batch: a batch on the device.
    """
    mask = spec.name + MASK
    return {spec.name: batch[spec.name]} | ({mask: batch[mask]} if mask in batch else {})


def named_steps(spec: InputSpec, batch: Mapping[str, Tensor], index: int) -> list[str]:
    """The names of all indices of one sample but padding, in order; empty where a vocabulary has no names.

    Args:
        spec: the input.
        batch: a batch.
        index: which sample.
    """
    if not spec.names:
        return []
    return [spec.names[number] for number in batch[spec.name][index].flatten().tolist() if number != PADDING]


_DIGIT = re.compile(r"\d")


def forms(word: str) -> Iterator[str]:
    """The forms under which a vocabulary may hold a word: as it is, in lower case, with 0 for every digit.

    Args:
        word: the word.
    """
    yield word
    yield word.lower()
    yield without_digits(word)
    yield without_digits(word.lower())


def without_digits(word: str) -> str:
    """A word with 0 for every digit.

    Args:
        word: the word.
    """
    return _DIGIT.sub("0", word)
