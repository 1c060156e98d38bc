"""Pieces: every word of a sentence as pieces of words, so that a name that was never seen can be spelled; 0 is padding.

Source: Schuster, Nakajima, "Japanese and Korean Voice Search", ICASSP 2012; the longest piece that fits comes first.
Shapes: B samples, T words of the longest sentence rounded up, L pieces of the word with the most.
"""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from mtl.inputs.characters import CharactersInput
from mtl.inputs.tokens import PADDING, UNKNOWN
from mtl.task import InputSpec

PIECE = "##"  # begins a piece that continues a word
MOST_PIECES = 12  # of a word of more, the first ones are read


class PiecesInput(CharactersInput):
    """Passes indices and the mask of words on; the embedding belongs to the backbone.

    Args:
        spec: the input; its `channels` are the number of pieces, padding included.
    """

    kind = "pieces"
    form = "indices of pieces of words (int64 [T,L], 0 = behind the end of a word)"

    @classmethod
    def reader(cls, spec: InputSpec) -> Callable[[Sequence[str]], Tensor]:
        cls.require_names(spec)
        index = {name: number for number, name in enumerate(spec.names) if number > UNKNOWN}

        def read(words: Sequence[str]) -> Tensor:
            split = [split_word(word.lower(), index) for word in words]
            rows = [[UNKNOWN] if parts is None else [index[part] for part in parts[:MOST_PIECES]] for parts in split]
            longest = max((len(row) for row in rows), default=1)
            return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])

        return read


def split_word(word: str, pieces: Collection[str]) -> list[str] | None:
    """The pieces of a word, the longest first; None if a letter of it is in no piece.

    Args:
        word: the word.
        pieces: the vocabulary.
    """
    found: list[str] = []
    start = 0
    while start < len(word):
        mark = PIECE if start else ""
        end = next((end for end in range(len(word), start, -1) if mark + word[start:end] in pieces), None)
        if end is None:
            return None
        found.append(mark + word[start:end])
        start = end
    return found
