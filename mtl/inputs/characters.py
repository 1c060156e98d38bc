"""Characters: the letters of every word of a sentence; 0 is padding, of words and of letters.

Shapes: B samples, T words of the longest sentence rounded up, L letters of the longest word.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtl.features import MASK
from mtl.inputs.input import Input
from mtl.inputs.tokens import PADDING, UNKNOWN, as_they_are, check_indices, mask_of_lengths, named_steps
from mtl.task import InputSpec

MOST_LETTERS = 32  # of a longer word, the first ones are read


class CharactersInput(Input):
    """Passes indices and the mask of words on; the embedding belongs to the backbone.

    Args:
        spec: the input; its `channels` are the size of the alphabet, padding included.
    """

    kind = "characters"
    form = "indices of an alphabet (int64 [T,L], 0 = behind the end of a word)"
    steps_of = "tokens"

    @classmethod
    def collate(cls, spec: InputSpec, values: Sequence[Any]) -> dict[str, Tensor]:
        cls.require(spec, values)
        words = [torch.as_tensor(value, dtype=torch.int64) for value in values]
        mask = mask_of_lengths([len(value) for value in words])
        characters = torch.full((*mask.shape, max(1, *(value.shape[1] for value in words))), PADDING)
        for row, value in enumerate(words):
            characters[row, : len(value), : value.shape[1]] = value
        check_indices(spec, characters, "an alphabet")
        return {spec.name: characters, spec.name + MASK: mask}

    @classmethod
    def open_dimensions(cls, spec: InputSpec) -> dict[int, int]:
        return {1: 1, 2: 1}

    @classmethod
    def example(cls, spec: InputSpec, rng: np.random.Generator) -> Any:
        lengths = rng.integers(1, 6, size=int(rng.integers(3, 12)))
        letters = rng.integers(1, spec.channels, size=(len(lengths), 5))
        return torch.from_numpy(np.where(np.arange(5) < lengths[:, None], letters, PADDING))

    @classmethod
    def reader(cls, spec: InputSpec) -> Callable[[Sequence[str]], Tensor]:
        cls.require_names(spec)
        index = {name: number for number, name in enumerate(spec.names) if number > UNKNOWN}

        def read(words: Sequence[str]) -> Tensor:
            rows = [[index.get(letter, UNKNOWN) for letter in word[:MOST_LETTERS]] for word in words]
            longest = max((len(row) for row in rows), default=1)
            return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])

        return read

    def step_names(self, batch: Mapping[str, Tensor], index: int) -> list[str]:
        return named_steps(self.spec, batch, index)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return as_they_are(self.spec, batch)
