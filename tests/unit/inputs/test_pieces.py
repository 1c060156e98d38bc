"""Pieces of the words of a sentence: the longest that fits, and nothing lost but letters that nobody knows."""

import torch

from mtl.inputs.pieces import MOST_PIECES, PiecesInput
from mtl.task import InputSpec

NAMES = ("<padding>", "<unknown>", "a", "##a", "##b", "ab", "##ab", "b")
SPEC = InputSpec("pieces", "pieces", names=NAMES)


def test_every_word_is_a_row_of_its_longest_pieces() -> None:
    read = PiecesInput.reader(SPEC)
    assert read(["ab", "Abab", "baa"]).tolist() == [[5, 0, 0], [5, 6, 0], [7, 3, 3]]


def test_a_word_with_a_letter_of_no_piece_is_one_unknown_piece() -> None:
    assert PiecesInput.reader(SPEC)(["xa", "a"]).tolist() == [[1], [2]]


def test_a_long_word_is_cut_and_padding_is_zero() -> None:
    rows = PiecesInput.reader(SPEC)(["ab" * 40, "b"])
    assert rows.shape == (2, MOST_PIECES)
    batch = PiecesInput.collate(SPEC, [rows, PiecesInput.reader(SPEC)(["b"])])
    assert batch["pieces"].shape == (2, 8, MOST_PIECES)
    assert batch["pieces_mask"].sum(1).tolist() == [2, 1]
    assert not batch["pieces"][~batch["pieces_mask"]].any()
    assert torch.equal(batch["pieces"][0, :2], rows)
