"""Recordings of one's own, named by a CSV file."""

from pathlib import Path
from typing import Any

import pytest

from mtl.data.audio.noise_file import write_noise
from mtl.data.audio.recording_table import RecordingTable

ROWS = [
    "file,who,said,age,split",
    "a.wav,ann,ja,30,train",
    "sub/b,bob,nein,,train",
    "c.wav,ann,,40,train",
    "d.wav,bob,ja ja,50,val",
    "e.wav,ann,nein,60,test",
]
TASKS: dict[str, Any] = {"who": {}, "said": {"kind": "transcript"}}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for number, name in enumerate(("a", "sub/b", "c", "d", "e")):
        write_noise(tmp_path / f"{name}.wav", 4000 + 800 * number, number)
    (tmp_path / "own.csv").write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    return tmp_path / "own.csv"


def data(path: Path, **settings: Any) -> RecordingTable:
    given: dict[str, Any] = {"column_tasks": TASKS, "recording": "file", "split_column": "split", "rate": 8000}
    module = RecordingTable(str(path), **(given | settings))
    module.setup("fit")
    module.setup("test")
    return module


def test_waves_classes_letters_and_lengths(table: Path) -> None:
    module = data(table)
    assert module.tasks["who"].class_names == ("ann", "bob")
    letters = module.tasks["said"].class_names
    assert letters == ("<blank>", " ", "a", "e", "i", "j", "n")
    assert [len(sample["audio"]) for sample in module.train_set] == [4000, 4800, 5600]  # type: ignore[attr-defined]
    assert module.train_set.lengths == [50, 60, 70]  # type: ignore[attr-defined]
    assert "".join(letters[index] for index in module.val_set[0]["said"].tolist()) == "ja ja"
    assert "said" not in module.train_set[2]
    assert module.train_set.text(1) == "sub/b"  # type: ignore[attr-defined]


def test_words_where_the_classes_are_words_and_numbers_beside(table: Path) -> None:
    tasks = {"said": {"kind": "transcript", "classes": ["<blank>", "ja", "nein"]}}
    module = data(table, column_tasks=tasks, numeric=["age"])
    assert module.val_set[0]["said"].tolist() == [1, 1]
    assert list(module.inputs) == ["audio", "row"]
    assert module.train_set[0]["row"].tolist() == [30, 0]


def test_all_bad_recordings_are_named_or_left_out(table: Path, caplog: Any) -> None:
    (table.parent / "a.wav").write_bytes(b"no sound")
    (table.parent / "c.wav").unlink()
    with pytest.raises(ValueError, match=r"2 of 3 recordings of split 'train' cannot be used: line 2: .*; line 4: "):
        data(table)
    module = data(table, on_bad_recording="skip")
    assert [module.train_set.text(i) for i in range(len(module.train_set))] == ["sub/b"]  # type: ignore[attr-defined,arg-type]
    assert "2 of 3 recordings of split 'train' are left out" in caplog.text
    (table.parent / "e.wav").unlink()
    with pytest.raises(
        ValueError, match=r"1 of 1 recordings of split 'test' cannot be used.*, or `recording` and `fol"
    ):
        data(table, on_bad_recording="skip")


def test_an_unknown_letter_is_named_with_its_line(table: Path) -> None:
    tasks = {"said": {"kind": "transcript", "classes": ["<blank>", "j", "a", " "]}}
    with pytest.raises(ValueError, match="line 3: task 'said' has a label 'n'"):
        data(table, column_tasks=tasks)


def test_a_transcript_of_several_lines_has_a_space_between_them(table: Path) -> None:
    table.write_text(table.read_text("utf-8").replace("ja ja", '"ja  \nja"'), encoding="utf-8")
    module = data(table)
    letters = module.tasks["said"].class_names
    assert letters == ("<blank>", " ", "a", "e", "i", "j", "n")
    assert "".join(letters[index] for index in module.val_set[0]["said"].tolist()) == "ja ja"


def test_a_word_in_the_place_of_the_blank_is_an_error_before_training(table: Path) -> None:
    tasks = {"said": {"kind": "transcript", "classes": ["ja", "nein"]}}
    with pytest.raises(ValueError, match="line 2: task 'said' has the label 'ja'.* Begin `classes` with '<blank>'"):
        data(table, column_tasks=tasks)
