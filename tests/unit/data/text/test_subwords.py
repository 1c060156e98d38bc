"""Pieces of words: found once, joined without loss, and the longest one first."""

import pytest

from mtl.data.text.subwords import find_pieces
from mtl.inputs.pieces import split_word
from mtl.targets.text import as_text

WORDS = ["low", "lower", "lowest", "new", "newer", "newest", "wide", "wider", "widest"]


def test_every_word_is_made_of_pieces_and_comes_back() -> None:
    pytest.importorskip("tokenizers")
    pieces = find_pieces(WORDS * 5, 40)
    assert len(pieces) <= 40
    assert len(set(pieces)) == len(pieces)
    for word in [*WORDS, "slow", "wolet"]:
        parts = split_word(word, pieces)
        assert parts is None or as_text(parts) == word
    assert all(split_word(word, pieces) for word in WORDS)
    assert len(split_word("newest", pieces) or ()) < 6


def test_the_longest_piece_that_fits_is_taken() -> None:
    assert split_word("unable", ["u", "un", "##able", "##a", "##ble"]) == ["un", "##able"]
    assert split_word("unx", ["u", "un", "##able"]) is None
    assert split_word("", ["a"]) == []
