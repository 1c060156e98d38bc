"""Sentences with intent and slots: classes of all splits, words of training, and errors that name file and line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.batch import collate
from mtl.data.sets.intent_slots import IntentSlots

ROOT = Path(__file__).resolve().parents[4]
DATA = ROOT.parent / "shared/data"
LINES = {
    "train": [("Fly to Boston", "O O B-city", "flight"), ("fares 17  dollars", "O B-price I-price", "fare")],
    "valid": [("fly to  Denver ", "O O B-city", "flight")],
    "test": [("meals on 12", "O O B-date", "meal")],
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def files(**changes: list[tuple[str, str, str]]) -> Path:
        for split, lines in (LINES | changes).items():
            (tmp_path / split).mkdir(exist_ok=True)
            for column, name in enumerate(("seq.in", "seq.out", "label")):
                (tmp_path / split / name).write_text("".join(line[column] + "\n" for line in lines))
        return tmp_path

    return files


def data(root: Path, stage: str = "fit", **arguments: Any) -> IntentSlots:
    made = IntentSlots(root, **arguments)
    made.setup(stage)
    return made


def test_classes_are_those_of_all_splits_and_words_those_of_training(write: Write) -> None:
    root = write()
    tasks, inputs = IntentSlots.declare_tasks(root=root), IntentSlots.declare_inputs(root=root)
    assert tasks["intent"].class_names == ("fare", "flight", "meal")
    assert tasks["slots"].class_names == ("O", "B-city", "I-city", "B-date", "I-date", "B-price", "I-price")
    assert inputs["words"].names == ("<padding>", "<unknown>", "00", "boston", "dollars", "fares", "fly", "to")
    assert set("Dm") & set(inputs["characters"].names) == set()
    made = data(root)
    assert (made.tasks, made.inputs) == (tasks, inputs)


def test_samples_hold_words_letters_and_targets(write: Write) -> None:
    made = data(write())
    sample = made.val_set[0]
    assert sample["words"].tolist() == [6, 7, 1]  # fly, to, and no Denver in training
    assert sample["characters"].shape == (3, 6)
    assert sample["intent"] == 1
    assert sample["slots"].tolist() == [0, 0, 1]
    assert made.val_set.text(0) == "fly to Denver"  # type: ignore[attr-defined]
    batch = collate([made.train_set[0], made.train_set[1]], made.tasks, made.inputs)
    assert batch["slots"].shape == batch["words"].shape == batch["characters"].shape[:2] == (2, 8)


def test_an_inside_tag_that_continues_nothing_begins_a_span(write: Write) -> None:
    lines = [("to Boston or New York", "O I-city O B-date I-city", "flight")]
    made = data(write(valid=lines))
    names = made.tasks["slots"].class_names
    assert [names[tag] for tag in made.val_set[0]["slots"]] == ["O", "B-city", "O", "B-date", "B-city"]


def test_case_and_digits_can_matter(write: Write) -> None:
    inputs = IntentSlots.declare_inputs(root=write(), lower=False, digits=False, characters=False)
    assert set(inputs) == {"words"}
    assert {"Boston", "17"} <= set(inputs["words"].names)


def test_declared_classes_are_all_there_is(write: Write) -> None:
    made = IntentSlots(write(), intents=["flight", "fare"], slots=["city", "price"])
    made.setup("fit")
    with pytest.raises(ValueError, match=r"test/seq.in', line 1: the intent 'meal' is not one of the 2"):
        made.setup("test")


def test_the_vocabulary_is_written_once(write: Write, tmp_path: Path) -> None:
    root = write()
    data(root, vocabulary=tmp_path / "v.json")
    assert (tmp_path / "v.json").is_file()
    write(train=LINES["valid"])
    with pytest.raises(ValueError, match="was made of other texts"):
        data(root, vocabulary=tmp_path / "v.json")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("one two", "O", "flight"), r"train/seq.out', line 2 has 1 tags, and seq.in has 2 words there"),
        (("", "O", "flight"), r"train/seq.in', line 2 is empty"),
        (("one", "X-city", "flight"), r"train/seq.out', line 2 has the tag 'X-city'; expected O, B-NAME or I-NAME"),
        (("one", "B-", "flight"), r"the tag 'B-'"),
        (("one", "O", "two intents"), r"train/label', line 2 is 'two intents'"),
        (("on\x07e", "O", "flight"), r"train/seq.in', line 2: character 3 is the control character '\\x07'"),
        (("w " * 10_000, "O " * 10_000, "flight"), r"train/seq.in', line 2 has 10,000 words"),
    ],
)
def test_a_bad_line_is_named(write: Write, line: tuple[str, str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data(write(train=[LINES["train"][0], line]))


def test_files_of_different_length_or_absent_are_named(write: Write) -> None:
    root = write()
    (root / "valid" / "label").write_text("flight\nflight\n")
    with pytest.raises(ValueError, match="differ in their number of lines: seq.in 1, seq.out 1, label 2"):
        data(root)
    (root / "valid" / "label").unlink()
    with pytest.raises(ValueError, match="there is no file .*label"):
        data(root)
    with pytest.raises(ValueError, match="has no folder train"):
        data(root / "elsewhere")


@pytest.mark.parametrize(("name", "intents", "tags"), [("atis", 26, 167), ("snips", 7, 79)])
def test_real_files_are_read(name: str, intents: int, tags: int, tmp_path: Path) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not here")
    made = data(DATA / name, "test", vocabulary=tmp_path / "vocab.json")
    assert made.tasks["intent"].num_classes == intents
    assert made.tasks["slots"].num_classes == tags
    assert len(made.test_set) == {"atis": 893, "snips": 700}[name]  # type: ignore[arg-type]
    assert all(torch.is_tensor(made.test_set[index]["words"]) for index in (0, 1))
