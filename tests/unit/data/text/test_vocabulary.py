"""A vocabulary is written once, in an order that two runs agree on."""

from pathlib import Path

import pytest

from mtl.data.text.vocabulary import fingerprint, vocabulary, written_once


def test_frequent_words_come_first_and_ties_by_name() -> None:
    words = ["b", "a", "c", "c", "<unknown>"]
    assert vocabulary(words) == ("<padding>", "<unknown>", "c", "a", "b")
    assert vocabulary(words, min_count=2) == ("<padding>", "<unknown>", "c")


def test_it_is_made_once_and_read_after(tmp_path: Path) -> None:
    file = tmp_path / "new" / "vocab.json"
    assert written_once(file, "x", lambda: {"words": ("a", "b")}) == {"words": ("a", "b")}
    assert written_once(file, "x", lambda: {"words": ("other",)}) == {"words": ("a", "b")}
    assert [path.name for path in file.parent.iterdir()] == ["vocab.json"]


def test_a_file_of_other_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("one")
    before = fingerprint([tmp_path / "text"], {"lower": True})
    written_once(tmp_path / "vocab.json", before, lambda: {"words": ("a",)})
    assert before != fingerprint([tmp_path / "text"], {"lower": False})
    (tmp_path / "text").write_text("two")
    with pytest.raises(ValueError, match="made of other texts"):
        written_once(tmp_path / "vocab.json", fingerprint([tmp_path / "text"], {"lower": True}), dict)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"fingerprint": "x", "names": 3}'])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "vocab.json").write_text(content)
    with pytest.raises(ValueError, match="not a vocabulary that mtl wrote"):
        written_once(tmp_path / "vocab.json", "x", dict)


def test_a_folder_that_cannot_be_written_gets_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert written_once(tmp_path / "file" / "vocab.json", "x", lambda: {"words": ("a",)}) == {"words": ("a",)}
