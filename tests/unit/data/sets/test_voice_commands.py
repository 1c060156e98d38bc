"""Commands of the grammar: tags fit words, translations are words, no sentence stands in two splits."""

import numpy as np
import pytest
import torch

from mtl.batch import collate
from mtl.data.sets.command_grammar import INTENTS, SLOTS, contracted, draw
from mtl.data.sets.voice_commands import ENGLISH, SPANISH, TAGS, VoiceCommands
from mtl.metrics.spans import spans
from mtl.targets.target import target_of

SMALL = {"num_train": 60, "num_val": 10, "num_test": 10}


def made(stage: str = "fit", **options: object) -> VoiceCommands:
    data = VoiceCommands(**{**SMALL, **options})  # type: ignore[arg-type]
    data.setup(stage)
    return data


def test_every_slot_is_a_span_with_one_of_its_values() -> None:
    rng = np.random.default_rng(0)
    commands = [draw(rng) for _ in range(400)]
    assert {command.intent for command in commands} == set(INTENTS)
    for command in commands:
        assert len(command.words) == len(command.tags)
        assert set(command.words) <= set(ENGLISH)
        assert set(command.spanish) <= set(SPANISH)
        for first, last, slot in spans(command.tags):
            assert " ".join(command.words[first : last + 1]) in [value for value, _ in SLOTS[slot]]


def test_a_slot_needs_its_sentence() -> None:
    # the same words stand for different slots, so no list of words would do
    rng, tags_of = np.random.default_rng(0), dict[str, set[str]]()
    for command in (draw(rng) for _ in range(2000)):
        for word, tag in zip(command.words, command.tags, strict=True):
            tags_of.setdefault(word, set()).add(tag)
    assert sum(len(tags) > 1 for tags in tags_of.values()) > 15


def test_templates_of_both_languages_have_the_same_slots() -> None:
    for pairs in INTENTS.values():
        for english, spanish in pairs:
            assert sorted(word for word in english.split() if "{" in word) == sorted(
                word for word in spanish.split() if "{" in word
            )


def test_articles_are_contracted() -> None:
    assert contracted("la luz de el baño a el salón de ella") == "la luz del baño al salón de ella"


def test_no_sentence_stands_in_two_splits() -> None:
    data = made()
    data.setup("test")
    texts = [
        {split.text(index) for index in range(len(split))}  # type: ignore[attr-defined, arg-type]
        for split in (data.train_set, data.val_set, data.test_set)
    ]
    assert [len(each) for each in texts] == [60, 10, 10]
    assert len(set.union(*texts)) == 80
    other = made(seed=1)
    assert other.train_set.text(0) != data.train_set.text(0)  # type: ignore[attr-defined]


def test_a_share_of_the_sentences_has_a_translation() -> None:
    data = made(translated=0.5, characters=True)
    batch = collate([data.train_set[index] for index in range(60)], data.tasks, data.inputs)
    assert 20 < batch["labelled/spanish"].sum() < 40
    assert batch["labelled/intent"].all()
    assert "spanish" in data.val_set[0]
    row = int(torch.nonzero(batch["labelled/spanish"])[0])
    assert target_of(data.tasks["spanish"]).text(batch["spanish"][row])  # type: ignore[attr-defined]
    assert batch["slots"].max() < len(TAGS)


def test_more_sentences_than_the_grammar_has_are_refused() -> None:
    with pytest.raises(ValueError, match="translated=2 within 0..1"):
        VoiceCommands(translated=2)
