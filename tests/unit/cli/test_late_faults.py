"""What a run did late or in silence: validate, a lone logger, a profile, a finished run, the line that resumes."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from mtl.cli.main import be_quiet, main
from mtl.cli.trainer.app import Run
from mtl.cli.trainer.stopped_runs import resume_line
from mtl.config.command_line import read_command_line
from mtl.config.paths import refuse_outside
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
