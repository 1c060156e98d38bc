"""What a run did late or in silence: validate, a lone logger, a profile, a finished run, the line that resumes."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mtl
from mtl.backbones.pretrained import pretrained_wanted
from mtl.cli.main import be_quiet, main
from mtl.cli.trainer.app import Run
from mtl.cli.trainer.stopped_runs import resume_line
from mtl.config.command_line import read_command_line
from mtl.config.import_policy import Builder
from mtl.config.paths import refuse_outside
from mtl.config.search_path import leave_current_folder
from mtl.config.yaml_lines import ConfigError
from mtl.runs.metrics_csv import MetricsCSV


def test_validate_of_a_run_prints_and_writes_its_numbers_and_copies_nothing(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained.parents[2])
    try:
        assert main(["validate", "--run", "runs/tiny/first"]) == 0
        assert "val metrics" in capsys.readouterr().out
        numbers = json.loads((trained / "validate" / "results.json").read_text())
        assert {"val/score", "val/loss/boxes", "val/largest/accuracy", "meta"} <= numbers.keys()
        assert not (trained / "validate" / "checkpoints").exists()
    finally:
        shutil.rmtree(trained / "validate", ignore_errors=True)


def test_a_finished_run_that_is_continued_says_that_nothing_was_trained(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(trained.parents[2])
    flags = ["--runs_root", str(tmp_path), "--test_after_fit", "false"]
    assert main(["fit", "--run", "runs/tiny/first", *flags]) == 0
    assert "nothing was trained: the checkpoint is at step 2, where this run ends" in caplog.text


@pytest.mark.parametrize("logger", ["CSVLogger", "TensorBoardLogger"])
def test_a_lone_logger_leaves_the_csv_of_the_run(folder: Path, logger: str) -> None:
    words = ["--config", "tiny.yaml", f"--trainer.logger={logger}", "--trainer.logger.save_dir=logs"]
    if logger == "TensorBoardLogger":
        pytest.importorskip("tensorboard")
    loggers = Run(read_command_line("fit", words), ["fit", *words]).trainer.loggers
    assert [type(one).__name__ for one in loggers] == [logger, "MetricsCSV"]
    assert isinstance(loggers[1], MetricsCSV)


def test_an_empty_suffix_as_loggers_have_it_by_default_is_no_name_to_refuse() -> None:
    refuse_outside(("trainer", "logger", "init_args", "filename_suffix"), "", is_path=False)
    with pytest.raises(ConfigError, match="is a name in the run's folder"):
        refuse_outside(("trainer", "logger", "init_args", "filename_suffix"), "../x", is_path=False)


def test_a_profile_is_printed_and_lightnings_tips_are_not() -> None:
    before = {name: logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.pytorch.profilers")}
    try:
        be_quiet()
        assert logging.getLogger("lightning.pytorch.profilers.profiler").isEnabledFor(logging.INFO)
        assert not logging.getLogger("lightning.pytorch.utilities").isEnabledFor(logging.INFO)
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def test_the_line_that_resumes_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = resume_line(tmp_path / "my runs" / "a", ["paper", "other.heads"])
    assert line == "python -m mtl fit --resume 'my runs/a' --allow paper --allow other.heads"
    assert resume_line(Path("/elsewhere/a")) == "python -m mtl fit --resume /elsewhere/a"


def test_words_of_an_enumeration_are_text_in_the_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    timer = "trainer:\n  callbacks+:\n    - {class_path: Timer, init_args: {duration: '00:00:10:00'}}\n"
    (folder / "timer.yaml").write_text(timer)
    with pytest.raises(SystemExit):
        main(["fit", "--config", "tiny.yaml", "--config", "timer.yaml", "--print_config"])
    assert "interval: step" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "wanted"), [("validate", False), ("test", False), ("fit", True)])
def test_only_a_new_run_loads_pretrained_weights(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, wanted: bool
) -> None:
    run, seen, call = tmp_path / "runs" / "tiny" / "first", set(), Builder.__call__

    def watched(self: Builder, cls: type, *args: Any, **kwargs: Any) -> Any:
        seen.add(pretrained_wanted())
        return call(self, cls, *args, **kwargs)

    shutil.copytree(trained, run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Builder, "__call__", watched)
    words = ["--config", str(run / "config.yaml")] if command == "fit" else ["--run", str(run)]
    Run(read_command_line(command, words), [command, *words])
    assert seen == {wanted}


HEAD = """\
from mtl.heads.whole.classification import ClassificationHead
class MyHead(ClassificationHead):
    "A head of a user."
"""


@pytest.mark.parametrize("start", ["python -m mtl", "console script"])
def test_a_console_script_imports_what_python_m_does(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """The first entry of the search path is the current folder or that of the script; our own code then agrees."""
    scripts = tmp_path_factory.mktemp("bin")
    name = f"users_package_{start[0]}"
    (folder / name).mkdir()
    (folder / name / "heads.py").write_text(HEAD)
    monkeypatch.setattr(sys, "path", [str(folder) if start[0] == "p" else str(scripts), *sys.path])
    if start[0] == "p":
        leave_current_folder()
    words = ["--config", "tiny.yaml", f"--model.heads.largest={name}.heads.MyHead"]
    with pytest.raises(ConfigError, match=f"refused to import '{name}.heads.MyHead'"):
        Run(read_command_line("fit", words), ["fit", *words])
    words += ["--allow", name]
    run = Run(read_command_line("fit", words), ["fit", *words])
    assert type(run.model.model.head("largest")).__module__ == f"{name}.heads"
    assert sys.path.index(str(folder)) == len(sys.path) - 1, "it hides nothing"


@pytest.mark.nightly
def test_both_ways_to_start_print_the_same(folder: Path) -> None:
    (folder / "users_package").mkdir()
    (folder / "users_package" / "heads.py").write_text(HEAD)
    (folder / "bin").mkdir()
    (folder / "bin" / "mtl").write_text("import sys\nfrom mtl.cli.main import main\nsys.exit(main())\n")
    words = ["fit", "--config", "tiny.yaml", "--model.heads.largest=users_package.heads.MyHead", "--print_config"]
    environment = {**os.environ, "PYTHONPATH": str(Path(mtl.__file__).parents[1])}
    said = []
    for allow in ([], ["--allow", "users_package"]):
        for start in (["-m", "mtl"], ["bin/mtl"]):
            line = [sys.executable, *start, *words, *allow]
            done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
            said.append((done.returncode, done.stdout, done.stderr))
    assert said[0] == said[1]
    assert said[2] == said[3]
    assert (said[0][0], said[2][0]) == (2, 0)
    assert "class_path: users_package.heads.MyHead" in said[2][1]
