"""Error rates by hand; never NaN; transcripts that no training can learn are counted."""

import pytest
import torch

from mtl.metrics.transcript import TranscriptMetrics
from mtl.task import Task

NAMES = ("<blank>", " ", "a", "b", "c")
TASK = Task("said", "transcript", class_names=NAMES)


def rows(*texts: str) -> torch.Tensor:
    longest = max(map(len, texts))
    return torch.tensor([[NAMES.index(letter) for letter in text] + [-1] * (longest - len(text)) for text in texts])


def scores(ours: torch.Tensor, theirs: torch.Tensor, **more: torch.Tensor) -> dict[str, float]:
    metrics = TranscriptMetrics(TASK)
    metrics.update({"tokens": ours, **more}, {"said": theirs})
    return {name: value.item() for name, value in metrics.compute().items()}


def test_rates_by_hand() -> None:
    # one of three words is wrong; of 3 + 3 letters one is wrong and one is missing
    found = scores(rows("ab c", "ab"), rows("ab b", "abc"))
    assert found["wer"] == pytest.approx(2 / 3)
    assert found["cer"] == pytest.approx(2 / 7)
    assert found["accuracy"] == 0


def test_silence_has_rates_that_are_numbers() -> None:
    nothing = torch.full((2, 3), -1)
    assert scores(nothing, nothing) == {"wer": 0, "cer": 0, "accuracy": 1, "infeasible": 0}
    assert scores(rows("ab", "c"), nothing)["wer"] == 1


def test_texts_longer_than_their_steps_are_counted() -> None:
    theirs = rows("aab", "abc")
    assert scores(theirs, theirs, steps=torch.tensor([3, 3]))["infeasible"] == 0.5


def test_without_a_labelled_transcript_there_is_no_rate() -> None:
    metrics = TranscriptMetrics(TASK)
    metrics.update({"tokens": rows("a")}, {"said": rows("b"), "labelled/said": torch.tensor([False])})
    assert metrics.compute() == {}


def test_words_are_joined_by_spaces() -> None:
    task = Task("digits", "transcript", class_names=("<blank>", "one", "two"))
    metrics = TranscriptMetrics(task)
    metrics.update({"tokens": torch.tensor([[1, 2]])}, {"digits": torch.tensor([[1, 1]])})
    assert metrics.compute()["wer"] == 0.5
