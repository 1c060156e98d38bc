"""Text files in common encodings."""

import os
from pathlib import Path

import pytest

from mtl.data.folder.files.text_files import read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_utf_is_read_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("Müll\r\n猫".encode(encoding))
    assert read_text(tmp_path / "a.txt").splitlines() == ["Müll", "猫"]


@pytest.mark.parametrize(("encoding", "letter"), [("cp1252", "é"), ("gb2312", "狗")])
def test_another_encoding_is_an_error_that_names_file_and_line(tmp_path: Path, encoding: str, letter: str) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n" + letter.encode(encoding))
    with pytest.raises(ValueError, match="a.txt' is not valid UTF-8 .byte 0x.. in line 3.*Save it again as UTF-8"):
        read_text(tmp_path / "a.txt")


def test_a_pipe_is_not_waited_for_and_an_endless_file_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is no regular file"):
        read_text(tmp_path / "pipe")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 20 * 2**30)
    with pytest.raises(ValueError, match="far more than a file of this kind holds"):
        read_text(tmp_path / "sparse")


def test_a_nul_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"a\nb\0c\n")
    with pytest.raises(ValueError, match=r"train.txt', line 2: character 2 is the control character"):
        read_text(tmp_path / "train.txt")
