"""Standard input as a file."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mtl.cli.standard_input import named_file


def test_a_dash_is_what_stands_on_standard_input_and_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("é\n".encode())))
    with named_file(Path("-")) as file:
        assert file.read_text("utf-8") == "é\n"
    assert not file.exists()


def test_any_other_file_is_the_file(tmp_path: Path) -> None:
    with named_file(tmp_path / "a.txt") as file:
        assert file == tmp_path / "a.txt"
