"""The table of FSDD, its labels and its errors, on a folder of the same layout."""

from pathlib import Path

import pytest

from mtl.data.sets.spoken_digits import LETTERS, WORDS, SpokenDigits
from mtl.targets.target import target_of


def made(folder: Path) -> SpokenDigits:
    return SpokenDigits(**SpokenDigits.example_args(folder))


def test_labels_are_those_of_the_table(tmp_path: Path) -> None:
    data = made(tmp_path)
    data.setup("fit")
    sample = data.train_set[7]
    assert (sample["digit"], sample["speaker"], sample["accent"]) == (7, 1, 3)
    assert target_of(data.tasks["word"]).text(sample["word"]) == "seven"  # type: ignore[attr-defined]
    assert set("".join(WORDS)) == set(LETTERS[1:])
    assert len(data.train_set) == 10  # type: ignore[arg-type]


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    data = made(tmp_path)
    table = tmp_path / "recordings.csv"
    text = table.read_text("utf-8")
    table.write_text(text.replace("r1,train,1,jackson", "r1,train,1,jakson"), "utf-8")
    with pytest.raises(ValueError, match=r"recordings\.csv', line 3: speaker 'jakson'.*jackson"):
        data.setup("fit")
    table.write_text(text, "utf-8")
    (tmp_path / "recordings/r2.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"r2\.wav' cannot be read as WAV"):
        data.setup("fit")
    table.write_text(text.replace(",test,", ",val,"), "utf-8")
    with pytest.raises(ValueError, match="no recording of split 'test'"):
        data.setup("test")
