"""`python -m mtl data`: the list of data sets, errors, and what is said at the end."""

from pathlib import Path

import pytest

from mtl.cli.main import main
from mtl.data.sources.fetch import sources


def test_without_a_name_every_set_is_shown_with_its_licence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, source in sources().items():
        assert name in shown
        assert f"Licence: {source.licence}." in shown


def test_an_unknown_set_is_an_error_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "bcd"]) == 2
    assert "Did you mean 'bccd'?" in capsys.readouterr().err


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    assert main(["data", "bccd", "--to", str(tmp_path)]) == 2
    assert "exists and was not made by this command" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_set_that_is_fetched_is_cited_with_the_configs_that_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/cells.yaml").write_text("data:\n  init_args:\n    root: data/bccd\n    cache: true\n")
    (tmp_path / "configs/other.yaml").write_text("data:\n  init_args:\n    root: data/bccd2\n")
    monkeypatch.setattr("mtl.cli.data.fetch", lambda *_: True)
    assert main(["data", "bccd"]) == 0
    shown = capsys.readouterr().out
    assert "data/bccd holds bccd: 364 pictures, 4888 boxes" in shown
    assert "Licence: MIT" in shown
    assert "Cite: github.com/Shenggan" in shown
    assert shown.rstrip().endswith("python -m mtl fit --config configs/cells.yaml")


def test_no_network_is_an_error_in_a_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mtl.data.sources.download.time.sleep", lambda _: None)
    assert main(["data", "snips", "--to", str(tmp_path / "snips"), "--mirror", "http://127.0.0.1:9"]) == 1
    said = capsys.readouterr().err
    assert "could not be fetched in 3 tries" in said
    assert "Traceback" not in said
