import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import mtl
from mtl.cli.main import main


def test_alone_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(f"python -m mtl {command}" in said for command in ("fit", "validate", "test", "predict", "list"))
    assert max(len(line) for line in said.splitlines()) <= 80


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"mtl {mtl.__version__}"


def test_a_mistyped_subcommand_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tset"]) == 2
    assert "there is no subcommand 'tset'. Did you mean 'test'?" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_the_traceback_is_shown_when_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    words = ["fit", "--config", "tiny.yaml", "--model.loss_weights.nobody", "1"]
    if how == "flag":
        words.append("--traceback")
    else:
        monkeypatch.setenv("MTL_TRACEBACK", "1")
    with pytest.raises(ValueError, match="loss weight 'nobody' has no entry"):
        main(words)


def test_an_error_nobody_foresaw_is_told_in_two_lines_and_keeps_its_traceback_for_who_asks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("a mistake of ours")

    monkeypatch.setattr("mtl.cli.trainer.app.write_record", broken)
    assert main(["fit", "--config", "tiny.yaml"]) == 1
    assert capsys.readouterr().err == ("error: TypeError: a mistake of ours\n  the whole traceback: add --traceback\n")
    with pytest.raises(TypeError, match="a mistake of ours"):
        main(["fit", "--config", "tiny.yaml", "--traceback"])


def test_an_error_is_few_and_short_lines_whatever_stands_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("first\x1b]0;title\x07\n" + "word " * 1000 + "\nx\ny\nz\n" + "\udcff" * 5000 + "\nlast")

    monkeypatch.setattr("mtl.cli.trainer.app.write_record", broken)
    assert main(["fit", "--config", "tiny.yaml"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) <= 5
    assert max(map(len, said.splitlines())) <= 310
    assert said.replace("\n", "").isprintable()
    assert said.startswith("error: first?]0;title?\n")
    assert "\nlast\n" in said


def test_ctrl_c_before_training_has_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mtl.cli.trainer.app.write_record", interrupted)
    assert main(["fit", "--config", "tiny.yaml"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_python_m_mtl_is_the_program_and_gives_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mtl", "nope"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("mtl", run_name="__main__")
    assert caught.value.code == 2


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["fti"], []])
def test_what_needs_no_model_imports_no_framework(words: list[str]) -> None:
    """By what is imported, not by a clock: torch, Lightning and what they bring cost seconds."""
    heavy = ("torch", "lightning", "torchvision", "torchmetrics", "scipy", "matplotlib", "jsonargparse")
    script = (
        f"import sys\nfrom mtl.cli.main import main\ncode = main({words!r})\n"
        f"print('imported', [name for name in {heavy!r} if name in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ})
    assert done.stdout.splitlines()[-1] == f"imported [] {2 if words == ['fti'] else 0}", done.stderr


def test_lightnings_own_complaint_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    def refuse(words: list[str]) -> int:
        raise MisconfigurationException("no such device")

    monkeypatch.setattr("mtl.cli.main._dispatch", refuse)
    assert main(["fit"]) == 1
    assert "error: no such device" in capsys.readouterr().err


def test_a_reader_that_leaves_ends_the_command_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        monkeypatch.setattr("mtl.cli.main._dispatch", lambda words: 0 * closed.write("a line"))
        assert main(["list"]) == 141
        closed.write("more")  # goes nowhere, without an error
    assert capfd.readouterr().err == ""
