"""Subwords: pieces of words, so that no word is unknown whose letters are known; within a word they begin with `##`.

The pieces are found by the package `tokenizers` (extra `text`), once, by a preparing step; splitting a word takes the
longest piece that fits, again and again, and needs no package.
Source: Schuster, Nakajima, "Japanese and Korean Voice Search", ICASSP 2012; the split as in BERT, NAACL 2019.
"""

from collections.abc import Collection, Iterable
from typing import Any

from mtl.errors import import_optional
from mtl.targets.text import PIECE


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
