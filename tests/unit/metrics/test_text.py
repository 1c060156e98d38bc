"""BLEU and chrF of short corpora, by hand; never NaN."""

import math

import pytest
import torch

from mtl.metrics.text import TextMetrics
from mtl.targets.text import Text, as_text
from mtl.task import Task

NAMES = ("<end>", "<unknown>", "the", "cat", "sat", "on", "mat", ".", "##s")
TASK = Task("english", "text", class_names=NAMES)


def rows(*texts: str) -> torch.Tensor:
    made = [[NAMES.index(word) for word in text.split()] for text in texts]
    longest = max(map(len, made))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in made])


def scores(ours: torch.Tensor, theirs: torch.Tensor) -> dict[str, float]:
    metrics = TextMetrics(TASK)
    metrics.update({"tokens": ours, "scores": torch.ones(len(ours))}, {"english": theirs})
    return {name: value.item() for name, value in metrics.compute().items()}


def test_bleu_by_hand() -> None:
    # 6 of 6 words, 4 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; one word too short
    found = scores(rows("the cat sat on mat ."), rows("the cat sat on the mat ."))
    precisions = [6 / 6, 4 / 5, 2 / 4, 1 / 3]
    expected = math.exp(1 - 7 / 6) * math.prod(precisions) ** 0.25
    assert found["bleu"] == pytest.approx(expected, abs=1e-4)
    assert found["accuracy"] == 0


def test_chrf_by_hand() -> None:
    # "cat" and "cats": 3 of 3 and 3 of 4 letters, 2 of 2 and 2 of 3 pairs, 1 of 1 and 1 of 2 triples, 0 of 0 and 0 of 1
    found = scores(rows("cat"), rows("cat ##s"))
    recall = (3 / 4 + 2 / 3 + 1 / 2) / 3  # of the three orders that both words have
    assert found["chrf"] == pytest.approx(5 * recall / (4 + recall), abs=1e-6)


def test_a_text_that_shares_no_letter_with_its_reference_counts() -> None:
    # 9 of 14 letters are found, 8 of 12 pairs and so on; nothing that is predicted is wrong
    found = scores(rows("the cat sat", ""), rows("the cat sat", "on mat"))
    recall = sum((9 - n) / (9 - n + max(0, 5 - n)) for n in range(6)) / 6
    assert found["chrf"] == pytest.approx(5 * recall / (4 + recall), abs=1e-6)
    assert found["chrf"] == pytest.approx(0.8031476, abs=1e-6)  # sacrebleu 2.6.0: corpus_chrf(..., word_order=0)


def test_an_unknown_word_is_never_right() -> None:
    found = scores(rows("the <unknown>"), rows("the <unknown>"))
    assert found["accuracy"] == 0
    assert found["chrf"] < 1


def test_empty_texts_have_scores_that_are_numbers() -> None:
    empty = torch.full((2, 3), -1)
    assert all(math.isfinite(value) for value in scores(empty, empty).values())
    assert scores(empty, empty)["accuracy"] == 1
    assert scores(empty, rows("the cat", "mat"))["chrf"] == 0


def test_without_a_labelled_text_there_is_no_score() -> None:
    metrics = TextMetrics(TASK)
    batch = {"english": rows("the cat"), "labelled/english": torch.tensor([False])}
    metrics.update({"tokens": rows("the mat"), "scores": torch.ones(1)}, batch)
    assert metrics.compute() == {}


def test_pieces_and_punctuation_are_joined() -> None:
    assert as_text(["the", "cat", "##s", "sat", "."]) == "the cats sat."
    assert as_text(["##s"]) == "s"
    assert Text(TASK).text(torch.tensor([2, 3, 8, -100])) == "the cats"
