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
    form = "indices of a vocabulary (int64 [T], each at least 1)"

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        sequences = [torch.as_tensor(value, dtype=torch.int64) for value in values]
        longest = max(1, *(len(sequence) for sequence in sequences))
        length = -(-longest // STEPS_MULTIPLE) * STEPS_MULTIPLE
        tokens = torch.full((len(sequences), length), PADDING)
        mask = torch.zeros(len(sequences), length, dtype=torch.bool)
        for row, sequence in enumerate(sequences):
            tokens[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = True
        if int(tokens.max()) >= spec.channels or int(tokens.min()) < 0:
            raise ValueError(
                f"input {spec.name!r} has a vocabulary of {spec.channels}; found indices {int(tokens.min())} to "
                f"{int(tokens.max())}. Write the vocabulary from the data that is read."
            )
        return {spec.name: tokens, spec.name + MASK: mask}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        return torch.from_numpy(rng.integers(1, spec.channels, size=int(rng.integers(3, 12))))

    @classmethod
    def reader(cls, spec: InputSpec) -> Callable[[Sequence[str]], Tensor]:
        cls.require_names(spec)
        index = {name: number for number, name in enumerate(spec.names) if number > UNKNOWN}

        def read(words: Sequence[str]) -> Tensor:
            return torch.tensor([next((index[f] for f in forms(word) if f in index), UNKNOWN) for word in words])

        return read

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        mask = self.spec.name + MASK
        return {self.spec.name: batch[self.spec.name]} | ({mask: batch[mask]} if mask in batch else {})


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
