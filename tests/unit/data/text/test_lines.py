"""Hostile text files: every error names file and line."""

from pathlib import Path

import pytest

from mtl.data.text.lines import check_length, read_lines, words_of


@pytest.mark.parametrize("content", [b"one two\r\nthree\r\n", b"one two\nthree", b"\xef\xbb\xbfone two\rthree\r"])
def test_line_ends_and_byte_order_marks_are_no_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_lines(tmp_path / "a") == ["one two", "three"]


@pytest.mark.parametrize("content", [b"", b"\n", b"  \r\n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="a' is empty; expected one sentence a line"):
        read_lines(tmp_path / "a")


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1c", "\x85", "\x7f"])
def test_a_control_character_is_named_with_its_line(tmp_path: Path, character: str) -> None:
    (tmp_path / "a").write_text(f"fine\nnot{character} fine\n")
    with pytest.raises(ValueError, match=r"a', line 2: character 4 is the control character"):
        read_lines(tmp_path / "a")


def test_other_spaces_stay_in_their_word(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\u00a0two \t three\u2028four  \n")
    assert words_of(read_lines(tmp_path / "a")[0]) == ["one\u00a0two", "three\u2028four"]


def test_a_missing_file_and_another_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file"):
        read_lines(tmp_path / "a")
    (tmp_path / "a").write_bytes("clásicos".encode("latin-1"))
    with pytest.raises(ValueError, match="not valid UTF-8"):
        read_lines(tmp_path / "a")


def test_a_line_of_ten_thousand_words_is_refused() -> None:
    with pytest.raises(ValueError, match="line 3 has 10,000 words; at most max_words=512"):
        check_length(["word"] * 10_000, 512, "line 3")
