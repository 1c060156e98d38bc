"""Subwords: pieces of words, so that no word is unknown whose letters are known; within a word they begin with `##`.

The pieces are found by the package `tokenizers` (extra `text`), once, by a preparing step; splitting a word into them
needs no package (`mtl/inputs/pieces.py`).
Source: Schuster, Nakajima, "Japanese and Korean Voice Search", ICASSP 2012.
"""

from collections.abc import Iterable
from typing import Any

from mtl.errors import import_optional
from mtl.inputs.pieces import PIECE


def find_pieces(words: Iterable[str], size: int) -> tuple[str, ...]:
    """The pieces of a vocabulary, letters first.

    Args:
        words: every occurrence of a word in the training texts.
        size: number of pieces, at most; all letters stay, however many.

    Raises:
        ImportError: if the extra is not installed.
    """
    tokenizers: Any = import_optional("tokenizers", "text")
    model = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="<unknown>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=size, show_progress=False, continuing_subword_prefix=PIECE, special_tokens=[]
    )
    model.train_from_iterator([" ".join(words)], trainer)
    found: dict[str, int] = model.get_vocab()
    return tuple(sorted(found, key=lambda piece: found[piece]))
