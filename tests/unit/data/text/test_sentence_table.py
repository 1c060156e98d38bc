"""Sentences of one's own in a CSV file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.data.text.lines import split_marks
from mtl.data.text.sentence_table import SentenceTable

ROWS = [
    "text,topic,slots,price,german,split",
    'I like "Rome"!,travel,O O B-city,3,Ich mag Rom!,train',
    "to New York,travel,O B-city I-city,,,train",
    "how much,fare,O O,4,Wie viel,train",
    "to Oslo,,I-city O,5,nach Oslo,val",
    "how long,time,O O,6,,test",
]
TASKS: dict[str, Any] = {
    "topic": {},
    "price": {"kind": "regression"},
    "german": {"kind": "text"},
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "own.csv"
    path.write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    return path


def data(path: Path, **settings: Any) -> SentenceTable:
    given: dict[str, Any] = {"column_tasks": TASKS, "sentence": "text", "split_column": "split"} | settings
    module = SentenceTable(str(path), **given)
    module.setup("fit")
    module.setup("test")
    return module


def test_marks_are_words_and_words_of_training_are_known(table: Path) -> None:
    module = data(table)
    assert module.train_set.text(0) == 'I like "Rome"!'  # type: ignore[attr-defined]
    words = module.inputs["words"].names
    assert set(words[2:]) == {"i", "like", '"', "rome", "!", "to", "new", "york", "how", "much"}
    read = [words[index] for index in module.train_set[0]["words"].tolist()]
    assert read == ["i", "like", '"', "rome", '"', "!"]
    assert [words[index] for index in module.val_set[0]["words"].tolist()] == ["to", "<unknown>"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_sentence_of_several_lines_is_one(table: Path, end: str) -> None:
    text = table.read_text("utf-8").replace("how long", '"how\nlong"').replace("\n", end)
    table.write_bytes(text.encode())
    test_set = data(table).test_set
    assert len(test_set[0]["words"]) == 2
    assert test_set.text(0) == "how\nlong"  # type: ignore[attr-defined]


def test_classes_are_those_of_every_split_and_words_of_texts_those_of_training(table: Path) -> None:
    module = data(table)
    assert module.tasks["topic"].class_names == ("fare", "time", "travel")
    german = module.tasks["german"].class_names
    assert set(german[2:]) == {"Ich", "mag", "Rom", "!", "Wie", "viel"}
    assert [german[index] for index in module.train_set[0]["german"].tolist()] == ["Ich", "mag", "Rom", "!"]
    assert "german" not in module.train_set[1]
    assert "price" not in module.train_set[1]
    assert module.val_set[0]["german"].tolist() == [1, 1]  # unknown
    assert "topic" not in module.val_set[0]
    assert float(module.val_set[0]["price"]) == 5


def test_a_tag_a_word_keeps_words_whole_and_begins_spans(table: Path) -> None:
    module = data(table, column_tasks={"slots": {"kind": "tags"}, "topic": {}})
    assert module.tasks["slots"].class_names == ("O", "B-city", "I-city")
    assert len(module.train_set[0]["words"]) == len(module.train_set[0]["slots"]) == 3
    assert module.val_set[0]["slots"].tolist() == [1, 0]  # I- that continues nothing begins a span


def test_numbers_of_a_row_are_an_input_beside_the_words(table: Path) -> None:
    module = data(table, column_tasks={"topic": {}}, numeric=["price"])
    assert list(module.inputs) == ["words", "characters", "row"]
    assert dict(module.inputs) == SentenceTable.declare_inputs(
        path=str(table), column_tasks={"topic": {}}, sentence="text", split_column="split", numeric=["price"]
    )
    assert torch.equal(module.train_set[0]["row"], torch.tensor([3.0, 0.0]))


def test_the_words_are_written_once_and_other_texts_are_refused(table: Path) -> None:
    data(table)
    file = table.with_suffix(".vocab.json")
    assert set(json.loads(file.read_text("utf-8"))["names"]) == {"words", "characters", "text german"}
    table.write_text("\n".join([*ROWS, "more words,fare,,,,train"]) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="was made of other texts"):
        data(table)


def test_words_of_texts_are_of_labelled_rows_and_other_labels_are_other_texts(table: Path) -> None:
    tasks: dict[str, Any] = {"german": {"kind": "text", "only_where": {"topic": ["fare"]}}}
    assert set(data(table, column_tasks=tasks).tasks["german"].class_names[2:]) == {"Wie", "viel"}
    tasks["german"]["missing"] = ["", "Wie viel"]
    with pytest.raises(ValueError, match="was made of other texts, or with other settings"):
        data(table, column_tasks=tasks)


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (("O O B-city", "O B-city"), {"column_tasks": {"slots": {"kind": "tags"}}}, "line 2: task 'slots' has 2 tags"),
        (("to Oslo", " "), {}, "line 5 is empty; expected a sentence"),
        (("to Oslo", "to\x07Oslo"), {}, "line 5: character 3 is the control character"),
        (("how much", "how " * 20), {"max_words": 19}, "line 4 has 20 words"),
        (("5,nach", "five,nach"), {}, "line 5: task 'price': 'five' is not a number"),
        (("text,", "words,"), {}, "has no column 'text'"),
        (("", ""), {"split_column": None}, "a table needs its splits"),
        (("", ""), {"split_column": None, "split_cells": {"train": ["a"]}}, "split_cells says what the cells"),
        (("O O B-city", "O O X-city"), {"column_tasks": {"slots": {"kind": "tags", "classes": ["O"]}}}, "'X-city'"),
    ],
)
def test_mistakes_are_named_with_their_line(
    table: Path, change: tuple[str, str], settings: dict[str, Any], message: str
) -> None:
    table.write_text(table.read_text("utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        data(table, **settings)


@pytest.mark.parametrize(
    ("word", "parts"),
    [("(boston?", ["(", "boston", "?"]), ("don't", ["don't"]), ("3.5", ["3.5"]), ("...", ["..."]), ("a", ["a"])],
)
def test_marks_at_the_edges_are_split_off(word: str, parts: list[str]) -> None:
    assert split_marks(word) == parts


def test_a_table_that_is_not_there_is_named_with_the_setting(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"column_tasks": {"topic": {}}, "sentence": "text", "split_column": "split"}
    with pytest.raises(ValueError, match=r"table 'no\.csv' is not a file .*Set data\.init_args\.path"):
        SentenceTable.declare_inputs(path="no.csv", **arguments)
    monkeypatch.setenv("HOME", str(table.parent))
    module = SentenceTable("~/own.csv", **arguments)
    module.setup("fit")
    assert len(module.train_set) == 3  # type: ignore[arg-type]
