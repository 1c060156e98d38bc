import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.fabric.plugins.environments import SLURMEnvironment

from mtl.callbacks.checkpoints.stop_signals import StopSignals, TrainingStopped, requeue, requeue_signal

PLAIN: Any = SimpleNamespace()


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    }
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a script ignores it
    taken = StopSignals()
    yield taken
    taken.restore()
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_the_first_signal_is_remembered(
    signals: StopSignals, capfd: pytest.CaptureFixture[str], number: signal.Signals, said: str
) -> None:
    signals.install(PLAIN)
    signal.raise_signal(number)
    assert signals.asked == number
    assert f"{said}: the step is finished and saved first" in capfd.readouterr().err


def test_the_second_one_does_what_it_always_did(signals: StopSignals) -> None:
    signals.install(PLAIN)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_nohup_stays_and_a_closed_terminal_is_written_to_no_more(
    signals: StopSignals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.install(PLAIN)
    signal.raise_signal(signal.SIGHUP)
    assert signals.asked == 0
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    terminal = os.open(tmp_path / "terminal", os.O_WRONLY | os.O_CREAT)
    signals.install(PLAIN)
    signals._terminal = [terminal]
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    signal.raise_signal(signal.SIGHUP)
    assert signals.asked == signal.SIGHUP
    assert os.path.samestat(os.fstat(terminal), os.stat(os.devnull))
    os.close(terminal)


def test_everything_is_put_back(signals: StopSignals) -> None:
    before = signal.getsignal(signal.SIGINT)
    signals.install(PLAIN)
    signals.install(PLAIN)
    assert signal.getsignal(signal.SIGINT) != before
    signals.restore()
    assert signal.getsignal(signal.SIGINT) == before


def slurm() -> Any:
    environment = SLURMEnvironment(auto_requeue=True, requeue_signal=signal.SIGUSR1)
    return SimpleNamespace(_accelerator_connector=SimpleNamespace(cluster_environment=environment))


def test_slurms_warning_is_a_signal_to_stop(signals: StopSignals) -> None:
    assert requeue_signal(PLAIN) is None
    assert requeue_signal(slurm()) == signal.SIGUSR1
    signals.install(slurm())
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signals.asked == signal.SIGUSR1


def test_a_job_is_queued_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "scontrol"
    refuses = '[ "$2" != 9 ] || { echo no such job >&2; exit 1; }'
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n{refuses}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert requeue() == "SLURM has queued job 17 again"
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    assert requeue() == "`scontrol requeue 9` failed (no such job); queue it again yourself"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert requeue() == "SLURM has queued job 5_2 again"
    assert (tmp_path / "said").read_text() == "requeue 17\nrequeue 9\nrequeue 5_2\n"
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2; rm")
    assert "is unreadable" in requeue()


def test_without_slurms_program_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    assert "`scontrol requeue 17` does not run" in requeue()


def test_the_exit_code_is_that_of_the_signal() -> None:
    stop = TrainingStopped(signal.SIGTERM, 12, 12)
    assert (stop.code, str(stop)) == (143, "stopped by SIGTERM after step 12; everything is saved")
    assert TrainingStopped(signal.SIGINT, 1, 1).code == 130
    assert str(TrainingStopped(signal.SIGUSR1, 3, 3)) == "stopped by SIGUSR1 after step 3; everything is saved"
    in_validation = "after step 3; its validation is not done, so it continues from step"
    assert f"{in_validation} 2" in str(TrainingStopped(signal.SIGTERM, 3, 2))
    assert f"{in_validation} 0" in str(TrainingStopped(signal.SIGTERM, 3, -1))
