"""Letters of words: padding behind words and sentences, and what an alphabet does not have."""

import pytest
import torch

from mtl.inputs.characters import MOST_LETTERS, CharactersInput
from mtl.inputs.tokens import TokensInput
from mtl.task import InputSpec

LETTERS = InputSpec("characters", "characters", names=("<padding>", "<unknown>", "a", "b"))
WORDS = InputSpec("words", "tokens", names=("<padding>", "<unknown>", "abba", "Ab", "00"))


def test_letters_are_padded_in_both_directions() -> None:
    read = CharactersInput.reader(LETTERS)
    batch = CharactersInput.collate(LETTERS, [read(["ab", "c"]), read(["abb"])])
    assert batch["characters"].shape == (2, 8, 3)
    assert batch["characters"][0, :2].tolist() == [[2, 3, 0], [1, 0, 0]]
    assert batch["characters"][1, 0].tolist() == [2, 3, 3]
    assert batch["characters_mask"].sum(1).tolist() == [2, 1]


def test_a_word_of_ten_thousand_letters_is_cut() -> None:
    assert CharactersInput.reader(LETTERS)(["a" * 10_000]).shape == (1, MOST_LETTERS)


def test_a_word_is_read_as_it_is_or_in_lower_case_or_without_digits() -> None:
    read = TokensInput.reader(WORDS)
    assert read(["abba", "ABBA", "Ab", "AB", "17", "<padding>"]).tolist() == [2, 2, 3, 1, 4, 1]


@pytest.mark.parametrize("kind", [CharactersInput, TokensInput])
def test_text_needs_the_names_of_a_vocabulary(kind: type) -> None:
    with pytest.raises(ValueError, match="has no names"):
        kind.reader(InputSpec("words", kind.kind, 9))


def test_an_index_outside_the_alphabet_is_refused() -> None:
    with pytest.raises(ValueError, match="alphabet of 4; found indices 0 to 7"):
        CharactersInput.collate(LETTERS, [torch.full((1, 1), 7)])
